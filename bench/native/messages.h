// What the floor programs of the message cases share: frames, their contents (as in
// bench/support/content.ts), and counts and checksums of what was seen.
//
// On the wire, in the byte order of the machine (both sides are on it):
//   frame   { payload bytes u32, number u32 }, then the payload
#ifndef PAIPAI_BENCH_MESSAGES_H_
#define PAIPAI_BENCH_MESSAGES_H_

#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>

#include "floor.h"

enum { kMessageBytesMax = 64 * 1024 };

struct FrameHeader {
  uint32_t bytes;
  uint32_t number;
};

// Count and sum of checksums, whatever the order of the messages.
struct Tally {
  uint64_t count;
  uint32_t sum;
};

// Writes the content of message `number`: number, number + step, number + 2 step and so on.
static void FillContent(uint8_t* payload, size_t bytes, uint32_t number) {
  for (size_t i = 0; i < bytes; i += 4) {
    memcpy(payload + i, &number, 4);
    number += 0x9e3779b1u;
  }
}

// Checksum of a message, which notices where in the message a word stands.
static uint32_t ContentChecksum(const uint8_t* payload, size_t bytes) {
  uint32_t sum = 0;
  uint32_t sums = 0;
  for (size_t i = 0; i < bytes; i += 4) {
    uint32_t word;
    memcpy(&word, payload + i, 4);
    sum += word;
    sums += sum;
  }
  return sum ^ sums * 0x85ebca6bu;
}

static void AddMessage(struct Tally* tally, const uint8_t* payload, size_t bytes) {
  tally->count++;
  tally->sum += ContentChecksum(payload, bytes);
}

// Adds `count` messages as they must be, numbered from `first` in steps of `stride`.
static void AddKnown(struct Tally* tally, uint32_t first, uint32_t stride, uint64_t count,
                     size_t bytes) {
  static uint8_t payload[kMessageBytesMax];
  for (uint64_t i = 0; i < count; i++) {
    FillContent(payload, bytes, first + (uint32_t)i * stride);
    AddMessage(tally, payload, bytes);
  }
}

// Of the setting; a multiple of 4 up to kMessageBytesMax.
static uint32_t MessageBytes(int argc, char** argv) {
  uint64_t bytes = NumberSetting(argc, argv, "message-bytes", 64);
  errno = EINVAL;
  if (bytes < 4 || bytes > kMessageBytesMax || bytes % 4 != 0) Fail("--message-bytes");
  return (uint32_t)bytes;
}

// Sends all of it, waiting where the socket is full.
static void SendAll(int fd, const uint8_t* bytes, size_t count) {
  while (count > 0) {
    ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno != EAGAIN && errno != EINTR) Fail("send");
      struct pollfd room = {.fd = fd, .events = POLLOUT};
      poll(&room, 1, -1);
      continue;
    }
    bytes += sent;
    count -= (size_t)sent;
  }
}

static void Watch(int epoll, int fd, void* what) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
  Must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static uint64_t ResidentBytes(void) {
  unsigned long long pages = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%*u %llu", &pages) != 1) Fail("/proc/self/statm");
  fclose(file);
  return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

// The answers of a server to the runner; false when the program is to end.
static bool AnswerServerCommand(const struct Tally* taken, double cpu_at_start) {
  char command[32];
  if (!ReadCommand(command, sizeof command) || strcmp(command, "end") == 0) return false;
  if (strcmp(command, "usage") == 0) {
    printf("{\"event\":\"usage\",\"cpuSeconds\":%.6f,\"residentBytes\":%llu}\n",
           CpuSeconds() - cpu_at_start, (unsigned long long)ResidentBytes());
  } else if (strcmp(command, "verify") == 0) {
    printf("{\"event\":\"verify\",\"takenCount\":%llu,\"takenChecksum\":\"%08x\"}\n",
           (unsigned long long)taken->count, taken->sum);
  }
  return true;
}

#endif  // PAIPAI_BENCH_MESSAGES_H_
