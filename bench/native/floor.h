// What the floor programs share: settings, failure, clocks, sockets, and the lines they exchange
// with the runner (bench/support/program.ts describes them).
#ifndef PAIPAI_BENCH_FLOOR_H_
#define PAIPAI_BENCH_FLOOR_H_

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// Prints what was tried and why it failed, and ends the program.
static _Noreturn void Fail(const char* tried) {
  fprintf(stderr, "%s: %s\n", tried, errno == 0 ? "failed" : strerror(errno));
  exit(1);
}

// The result of a system call that must not fail.
static long Must(long result, const char* tried) {
  if (result < 0) Fail(tried);
  return result;
}

// The text behind `--name` on the command line. Settings that a program does not know are left
// alone.
static const char* Setting(int argc, char** argv, const char* name, const char* fallback) {
  for (int i = 2; i + 1 < argc; i += 2) {
    if (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, name) == 0) return argv[i + 1];
  }
  return fallback;
}

static uint64_t NumberSetting(int argc, char** argv, const char* name, uint64_t fallback) {
  const char* text = Setting(argc, argv, name, NULL);
  return text == NULL ? fallback : strtoull(text, NULL, 10);
}

static double NowSeconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

// User and system time of the whole process.
static double CpuSeconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

// One command of the runner, without its line end; false at the end of input. Read byte by byte, so
// that nothing is held back in a buffer that epoll cannot see.
static bool ReadCommand(char* line, size_t size) {
  size_t length = 0;
  char c;
  while (read(STDIN_FILENO, &c, 1) == 1) {
    if (c == '\n') {
      line[length] = 0;
      return true;
    }
    if (length + 1 < size) line[length++] = c;
  }
  return false;
}

static void SetNonBlocking(int fd) {
  int flags = (int)Must(fcntl(fd, F_GETFL), "fcntl");
  Must(fcntl(fd, F_SETFL, flags | O_NONBLOCK), "fcntl");
}

// Listens on a port of the loopback that the system chooses, or on the Unix path, and writes the
// address for people and for `ConnectTo` into `address`.
static int ListenOn(const char* path_kind, const char* socket_file, char* address, size_t size) {
  int fd;
  if (strcmp(path_kind, "unix") == 0) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", socket_file);
    fd = (int)Must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
    Must(bind(fd, (struct sockaddr*)&at, sizeof at), "bind");
    snprintf(address, size, "unix://%s", socket_file);
  } else {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    fd = (int)Must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    Must(bind(fd, (struct sockaddr*)&at, sizeof at), "bind");
    Must(getsockname(fd, (struct sockaddr*)&at, &length), "getsockname");
    snprintf(address, size, "tcp://127.0.0.1:%u", ntohs(at.sin_port));
  }
  Must(listen(fd, 1024), "listen");
  return fd;
}

static void SetNoDelay(int fd, const char* address) {
  int on = 1;
  if (strncmp(address, "tcp://", 6) == 0) {
    Must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
  }
}

static int ConnectTo(const char* address) {
  int fd;
  if (strncmp(address, "unix://", 7) == 0) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", address + 7);
    fd = (int)Must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
    Must(connect(fd, (struct sockaddr*)&to, sizeof to), "connect");
  } else {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char* port = strrchr(address, ':');
    to.sin_port = htons((uint16_t)strtoul(port == NULL ? "" : port + 1, NULL, 10));
    fd = (int)Must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    Must(connect(fd, (struct sockaddr*)&to, sizeof to), "connect");
  }
  SetNoDelay(fd, address);
  return fd;
}

// `ListenOn` where the settings say.
static int ListenAsSet(int argc, char** argv, char* address, size_t size) {
  const char* path_kind = Setting(argc, argv, "path", "tcp");
  return ListenOn(path_kind, Setting(argc, argv, "socket", ""), address, size);
}

typedef int Role(int argc, char** argv);

// What `main` does in every program: plays the role that the command line names first.
static int PlayRole(int argc, char** argv, Role* server, Role* client) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc > 1 && strcmp(argv[1], "server") == 0) return server(argc, argv);
  if (argc > 1 && strcmp(argv[1], "client") == 0) return client(argc, argv);
  fprintf(stderr, "usage: %s server|client [--name value]...\n", argv[0]);
  return 2;
}

#endif  // PAIPAI_BENCH_FLOOR_H_
