/* A server that answers as Ollama's API does: `ollama PORT`. /api/version and /api/ps are the files
 * /etc/stub-ollama.version and /etc/stub-ollama.ps. Where /etc/stub-ollama.slow is, an answer has no end and
 * comes drop by drop. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void drip(int client)
{
    while (write(client, "x", 1) == 1)
        usleep(300000);
}

static void answer(int client)
{
    static char request[4096], body[2 << 20], head[128];
    ssize_t n = read(client, request, sizeof request - 1);

    request[n > 0 ? n : 0] = '\0';
    int fd =
        open(strncmp(request, "GET /api/ps ", 12) == 0 ? "/etc/stub-ollama.ps" : "/etc/stub-ollama.version",
             O_RDONLY);
    n = fd >= 0 ? read(fd, body, sizeof body) : 0;
    if (fd >= 0)
        close(fd);
    snprintf(head, sizeof head, "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n");
    if (access("/etc/stub-ollama.slow", F_OK) == 0)
        drip(client);
    else if (write(client, head, strlen(head)) > 0 && n > 0 && write(client, body, (size_t)n) < 0)
        perror("ollama");
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);

    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 11434)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 8) < 0 || daemon(0, 0) < 0) {
        perror("ollama");
        return 1;
    }
    for (;;) {
        int client = accept(fd, NULL, NULL);
        if (client < 0)
            continue;
        answer(client);
        close(client);
    }
}
