// The floor of the case `stream`: messages one way over one connection, as fast as the receiver
// takes them. Both roles: `stream server --path tcp|unix ...`, `stream client --address ...
// --message-bytes N --seconds N`. One thread a side.
//
// A frame without a payload asks the receiver to confirm; the answer is a frame without a payload,
// whose number is how many messages have come.
#include "messages.h"

enum { kBatchBytes = 256 * 1024, kReadBytes = 256 * 1024 };
static const double kWarmUpSeconds = 0.5;

struct Receiver {
  int fd;
  uint32_t message_bytes;
  struct Tally taken;
  size_t filled;
  uint8_t bytes[kReadBytes];
};

// Takes what has come; false at the end of the stream.
static bool Receive(struct Receiver* receiver) {
  ssize_t got = recv(receiver->fd, receiver->bytes + receiver->filled,
                     kReadBytes - receiver->filled, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (got <= 0) return false;
  size_t end = receiver->filled + (size_t)got;
  size_t at = 0;
  while (end - at >= sizeof(struct FrameHeader)) {
    struct FrameHeader header;
    memcpy(&header, receiver->bytes + at, sizeof header);
    if (header.bytes == 0) {
      header.number = (uint32_t)receiver->taken.count;
      SendAll(receiver->fd, (const uint8_t*)&header, sizeof header);
      at += sizeof header;
      continue;
    }
    errno = 0;
    if (header.bytes != receiver->message_bytes) Fail("length of a message");
    if (header.number != (uint32_t)receiver->taken.count) Fail("order of messages");
    if (end - at < sizeof header + header.bytes) break;
    AddMessage(&receiver->taken, receiver->bytes + at + sizeof header, header.bytes);
    at += sizeof header + header.bytes;
  }
  receiver->filled = end - at;
  memmove(receiver->bytes, receiver->bytes + at, receiver->filled);
  return true;
}

static int RunServer(int argc, char** argv) {
  static struct Receiver receiver = {.fd = -1};
  receiver.message_bytes = MessageBytes(argc, argv);
  char address[128];
  int listener = ListenAsSet(argc, argv, address, sizeof address);
  int epoll = (int)Must(epoll_create1(0), "epoll_create1");
  Watch(epoll, listener, &listener);
  Watch(epoll, STDIN_FILENO, NULL);
  double cpu = CpuSeconds();
  printf("{\"event\":\"ready\",\"address\":\"%s\"}\n", address);
  for (;;) {
    struct epoll_event events[8];
    int count = epoll_wait(epoll, events, 8, -1);
    if (count < 0 && errno != EINTR) Fail("epoll_wait");
    for (int i = 0; i < count; i++) {
      void* what = events[i].data.ptr;
      if (what == NULL) {
        if (!AnswerServerCommand(&receiver.taken, cpu)) return 0;
      } else if (what == &listener) {
        receiver.fd = (int)Must(accept(listener, NULL, NULL), "accept");
        SetNoDelay(receiver.fd, address);
        Watch(epoll, receiver.fd, &receiver);
      } else if (!Receive(&receiver)) {
        Must(epoll_ctl(epoll, EPOLL_CTL_DEL, receiver.fd, NULL), "epoll_ctl");
      }
    }
  }
}

// Waits until the receiver says that `count` messages have come.
static void AwaitConfirmation(int fd, uint64_t count) {
  struct FrameHeader header = {0};
  SendAll(fd, (const uint8_t*)&header, sizeof header);
  if (recv(fd, &header, sizeof header, MSG_WAITALL) != sizeof header) Fail("recv");
  errno = 0;
  if (header.bytes != 0 || header.number != (uint32_t)count) Fail("confirmation");
}

// Sends messages numbered from `next` for `seconds`; the number after the last one.
static uint64_t StreamFor(int fd, uint32_t message_bytes, uint64_t next, double seconds) {
  static uint8_t batch[kBatchBytes];
  size_t frame_bytes = sizeof(struct FrameHeader) + message_bytes;
  double end = NowSeconds() + seconds;
  while (NowSeconds() < end) {
    size_t at = 0;
    for (; at + frame_bytes <= kBatchBytes; at += frame_bytes, next++) {
      struct FrameHeader header = {.bytes = message_bytes, .number = (uint32_t)next};
      memcpy(batch + at, &header, sizeof header);
      FillContent(batch + at + sizeof header, message_bytes, (uint32_t)next);
    }
    SendAll(fd, batch, at);
  }
  AwaitConfirmation(fd, next);
  return next;
}

static int RunClient(int argc, char** argv) {
  uint32_t message_bytes = MessageBytes(argc, argv);
  double run_seconds = strtod(Setting(argc, argv, "seconds", "2"), NULL);
  int fd = ConnectTo(Setting(argc, argv, "address", ""));
  uint64_t next = StreamFor(fd, message_bytes, 0, kWarmUpSeconds);
  printf("{\"event\":\"ready\"}\n");
  char command[32];
  while (ReadCommand(command, sizeof command) && strcmp(command, "end") != 0) {
    if (strcmp(command, "run") == 0) {
      uint64_t first = next;
      double cpu = CpuSeconds();
      double start = NowSeconds();
      next = StreamFor(fd, message_bytes, next, run_seconds);
      double seconds = NowSeconds() - start;
      printf("{\"event\":\"run\",\"seconds\":%.9f,\"cpuSeconds\":%.6f,\"count\":%llu}\n", seconds,
             CpuSeconds() - cpu, (unsigned long long)(next - first));
    } else if (strcmp(command, "verify") == 0) {
      struct Tally sent = {0};
      AddKnown(&sent, 0, 1, next, message_bytes);
      printf("{\"event\":\"verify\",\"sentCount\":%llu,\"sentChecksum\":\"%08x\"}\n",
             (unsigned long long)sent.count, sent.sum);
    }
  }
  return 0;
}

int main(int argc, char** argv) { return PlayRole(argc, argv, RunServer, RunClient); }
