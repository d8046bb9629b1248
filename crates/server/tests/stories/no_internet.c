/* Preloaded into the product by walls.rs: a machine without the Internet. Names do not resolve, nothing but loopback
   can be reached, and each try is written to the file that NO_INTERNET_JOURNAL names. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void note(const char *what) {
    const char *path = getenv("NO_INTERNET_JOURNAL");
    int file = path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    if (file < 0) return;
    if (write(file, what, strlen(what)) < 0 || write(file, "\n", 1) < 0) { /* a lost note fails the test that reads it */ }
    close(file);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    typedef int (*real_getaddrinfo)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    struct in6_addr ignored;
    int literal = name && (inet_pton(AF_INET, name, &ignored) == 1 || inet_pton(AF_INET6, name, &ignored) == 1);
    if (!name || literal || strcmp(name, "localhost") == 0)
        return ((real_getaddrinfo)dlsym(RTLD_NEXT, "getaddrinfo"))(name, service, hints, found);
    note(name);
    return EAI_AGAIN;
}

int connect(int socket, const struct sockaddr *address, socklen_t length) {
    typedef int (*real_connect)(int, const struct sockaddr *, socklen_t);
    int far = 0;
    if (address->sa_family == AF_INET)
        far = (ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24) != 127;
    if (address->sa_family == AF_INET6)
        far = !IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
    if (far) {
        note("connect");
        errno = ENETUNREACH;
        return -1;
    }
    return ((real_connect)dlsym(RTLD_NEXT, "connect"))(socket, address, length);
}
