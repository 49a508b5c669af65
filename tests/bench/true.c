/* The floor of every measurement: a program that does nothing, linked statically. */
int main(void)
{
    return 0;
}
