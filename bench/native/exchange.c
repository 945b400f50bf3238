// The floor of the cases `pingpong`, `requests`, `connections`, `idle` and `opening`: messages
// there and the same ones back, over one or many connections, with one or many under way on each.
// Both roles: `exchange server --path tcp|unix ...`, `exchange client --address ... --connections N
// --in-flight N --message-bytes N --seconds N`. One thread a side, one system call for all frames
// that came together and one for all answers to them.
//
// With `--waiting spin` both sides look at their sockets over and over instead of sleeping in
// epoll_wait, and give the processor away every kPollsPerYield looks, so that two of them can share
// one.
//
// With `--idle 1` the client opens a tenth of its connections before it is ready and the others
// when it runs, and exchanges one message over each; the server says how much memory it has.
#include <sched.h>

#include "messages.h"

enum {
  kConnectionsMax = 16384,
  kInFlightBytesMax = 128 * 1024,  // Less than sockets hold, so that no side waits for the other.
  kPollsPerYield = 64,
  kEventsMax = 512,
  kSamplesMax = 4000000,
};
static const double kWarmUpSeconds = 0.5;
static const double kTouchSeconds = 0;  // Each connection carries one message.

struct Connection {
  int fd;  // -1: gone.
  uint8_t* in;
  size_t in_filled;
  uint8_t* out;
  // Of the client. Message k of connection i of n has number i + k n.
  uint32_t index;
  uint64_t sent_count;
  uint64_t answered_count;
};

struct Exchange {
  int epoll;
  bool spins;
  uint32_t message_bytes;
  size_t frame_bytes;
  size_t buffer_bytes;
  uint32_t in_flight;
  struct Connection* connections;
  uint32_t connection_count;
  uint32_t stride;    // Of the numbers of messages: the connections that there will be.
  struct Tally seen;  // What has come: requests at the server, answers at the client.
  bool is_client;
  float* samples;  // Seconds between one answer and the next; NULL where several are under way.
  size_t sample_count;
  double last_answer_seconds;
};

static void AddConnection(struct Exchange* exchange, int fd) {
  errno = EMFILE;
  if (exchange->connection_count == kConnectionsMax) Fail("one more connection");
  struct Connection* connection = &exchange->connections[exchange->connection_count];
  connection->fd = fd;
  connection->index = exchange->connection_count++;
  connection->in = malloc(exchange->buffer_bytes);
  connection->out = malloc(exchange->buffer_bytes);
  if (connection->in == NULL || connection->out == NULL) Fail("malloc");
  SetNonBlocking(fd);
  if (!exchange->spins) Watch(exchange->epoll, fd, connection);
}

// Writes the next request of `connection` to `frame`.
static void WriteRequest(struct Exchange* exchange, struct Connection* connection, uint8_t* frame) {
  struct FrameHeader header = {
      .bytes = exchange->message_bytes,
      .number = connection->index + (uint32_t)connection->sent_count++ * exchange->stride};
  memcpy(frame, &header, sizeof header);
  FillContent(frame + sizeof header, header.bytes, header.number);
}

static void CheckAnswer(struct Exchange* exchange, struct Connection* connection,
                        const struct FrameHeader* header) {
  uint32_t expected = connection->index + (uint32_t)connection->answered_count++ * exchange->stride;
  errno = 0;
  if (header->number != expected) Fail("order of answers");
  if (exchange->samples != NULL && exchange->sample_count < kSamplesMax) {
    double now = NowSeconds();
    exchange->samples[exchange->sample_count++] = (float)(now - exchange->last_answer_seconds);
    exchange->last_answer_seconds = now;
  }
}

// Takes what has come and sends what follows from it: answers at the server, the next requests at
// the client. The number of frames taken, or -1 at the end of the stream.
static int Turn(struct Exchange* exchange, struct Connection* connection, bool may_begin) {
  ssize_t got = recv(connection->fd, connection->in + connection->in_filled,
                     exchange->buffer_bytes - connection->in_filled, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (got <= 0) return -1;
  size_t end = connection->in_filled + (size_t)got;
  size_t at = 0;
  size_t out_bytes = 0;
  int taken = 0;
  for (; end - at >= exchange->frame_bytes; at += exchange->frame_bytes, taken++) {
    const uint8_t* frame = connection->in + at;
    struct FrameHeader header;
    memcpy(&header, frame, sizeof header);
    errno = 0;
    if (header.bytes != exchange->message_bytes) Fail("length of a message");
    AddMessage(&exchange->seen, frame + sizeof header, header.bytes);
    if (exchange->is_client) {
      CheckAnswer(exchange, connection, &header);
      if (!may_begin) continue;
      WriteRequest(exchange, connection, connection->out + out_bytes);
    } else {
      memcpy(connection->out + out_bytes, frame, exchange->frame_bytes);
    }
    out_bytes += exchange->frame_bytes;
  }
  connection->in_filled = end - at;
  memmove(connection->in, connection->in + at, connection->in_filled);
  SendAll(connection->fd, connection->out, out_bytes);
  return taken;
}

static void Forget(struct Exchange* exchange, struct Connection* connection) {
  errno = 0;
  if (exchange->is_client) Fail("the server closed a connection");
  close(connection->fd);
  connection->fd = -1;
}

// One look at every connection; the number of frames taken.
static int SpinOnce(struct Exchange* exchange, bool may_begin) {
  int taken = 0;
  for (uint32_t i = 0; i < exchange->connection_count; i++) {
    struct Connection* connection = &exchange->connections[i];
    if (connection->fd < 0) continue;
    int result = Turn(exchange, connection, may_begin);
    if (result < 0) Forget(exchange, connection);
    if (result > 0) taken += result;
  }
  return taken;
}

// Sets up what both roles need, from the settings.
static void Prepare(struct Exchange* exchange, int argc, char** argv) {
  exchange->epoll = (int)Must(epoll_create1(0), "epoll_create1");
  exchange->spins = strcmp(Setting(argc, argv, "waiting", "sleep"), "spin") == 0;
  exchange->message_bytes = MessageBytes(argc, argv);
  exchange->frame_bytes = sizeof(struct FrameHeader) + exchange->message_bytes;
  exchange->in_flight = (uint32_t)NumberSetting(argc, argv, "in-flight", 1);
  exchange->buffer_bytes = exchange->frame_bytes * exchange->in_flight;
  errno = EINVAL;
  if (exchange->in_flight == 0 || exchange->buffer_bytes > kInFlightBytesMax) Fail("--in-flight");
  exchange->connections = calloc(kConnectionsMax, sizeof *exchange->connections);
  if (exchange->connections == NULL) Fail("calloc");
}

static int RunServer(int argc, char** argv) {
  static struct Exchange exchange;
  Prepare(&exchange, argc, argv);
  char address[128];
  int listener = ListenAsSet(argc, argv, address, sizeof address);
  Watch(exchange.epoll, listener, &listener);
  Watch(exchange.epoll, STDIN_FILENO, NULL);
  double cpu = CpuSeconds();
  printf("{\"event\":\"ready\",\"address\":\"%s\"}\n", address);
  for (;;) {
    if (exchange.spins && exchange.connection_count > 0) {
      for (int polls = 0; polls < kPollsPerYield;)
        polls = SpinOnce(&exchange, false) ? 0 : polls + 1;
      sched_yield();
    }
    bool sleeps = !exchange.spins || exchange.connection_count == 0;
    struct epoll_event events[kEventsMax];
    int count = epoll_wait(exchange.epoll, events, kEventsMax, sleeps ? -1 : 0);
    if (count < 0 && errno != EINTR) Fail("epoll_wait");
    for (int i = 0; i < count; i++) {
      void* what = events[i].data.ptr;
      if (what == NULL) {
        if (!AnswerServerCommand(&exchange.seen, cpu)) return 0;
      } else if (what == &listener) {
        int fd = (int)Must(accept(listener, NULL, NULL), "accept");
        SetNoDelay(fd, address);
        AddConnection(&exchange, fd);
      } else if (Turn(&exchange, what, false) < 0) {
        Forget(&exchange, what);
      }
    }
  }
}

// Exchanges messages on all connections for `seconds`, with 0 one on each; the number of answers.
static uint64_t ExchangeFor(struct Exchange* exchange, double seconds) {
  uint64_t before = exchange->seen.count;
  uint64_t under_way = 0;
  double end = NowSeconds() + seconds;
  bool may_begin = seconds > 0;
  exchange->sample_count = 0;
  exchange->last_answer_seconds = NowSeconds();
  for (uint32_t i = 0; i < exchange->connection_count; i++) {
    struct Connection* connection = &exchange->connections[i];
    for (uint32_t k = 0; k < exchange->in_flight; k++) {
      WriteRequest(exchange, connection, connection->out + k * exchange->frame_bytes);
    }
    SendAll(connection->fd, connection->out, exchange->buffer_bytes);
    under_way += exchange->in_flight;
  }
  int polls = 0;
  while (under_way > 0) {
    int taken = 0;
    if (exchange->spins) {
      taken = SpinOnce(exchange, may_begin);
      polls = taken > 0 ? 0 : polls + 1;
      if (polls == kPollsPerYield) {
        polls = 0;
        sched_yield();
      }
    } else {
      struct epoll_event events[kEventsMax];
      int count = epoll_wait(exchange->epoll, events, kEventsMax, -1);
      if (count < 0 && errno != EINTR) Fail("epoll_wait");
      for (int i = 0; i < count; i++) {
        int result = Turn(exchange, events[i].data.ptr, may_begin);
        if (result < 0) Forget(exchange, events[i].data.ptr);
        taken += result;
      }
    }
    if (!may_begin) under_way -= (uint64_t)taken;
    if (may_begin && taken > 0) may_begin = NowSeconds() < end;
  }
  return exchange->seen.count - before;
}

static int CompareSamples(const void* a, const void* b) {
  float left = *(const float*)a;
  float right = *(const float*)b;
  return (left > right) - (left < right);
}

static double Percentile(const struct Exchange* exchange, double part) {
  size_t index = (size_t)((double)exchange->sample_count * part);
  return index < exchange->sample_count ? (double)exchange->samples[index] * 1e6 : 0;
}

static void Report(const struct Exchange* exchange, double seconds, double cpu, uint64_t count,
                   uint32_t opened_count) {
  printf(
      "{\"event\":\"run\",\"seconds\":%.9f,\"cpuSeconds\":%.6f,\"count\":%llu,"
      "\"openedCount\":%u,\"waiting\":\"%s\"",
      seconds, cpu, (unsigned long long)count, opened_count, exchange->spins ? "spin" : "sleep");
  if (exchange->samples != NULL) {
    qsort(exchange->samples, exchange->sample_count, sizeof *exchange->samples, CompareSamples);
    printf(",\"p50Microseconds\":%.3f,\"p99Microseconds\":%.3f", Percentile(exchange, 0.5),
           Percentile(exchange, 0.99));
  }
  printf("}\n");
}

static void OpenUpTo(struct Exchange* exchange, uint32_t count, int argc, char** argv) {
  while (exchange->connection_count < count) {
    AddConnection(exchange, ConnectTo(Setting(argc, argv, "address", "")));
  }
}

static int RunClient(int argc, char** argv) {
  static struct Exchange exchange = {.is_client = true};
  Prepare(&exchange, argc, argv);
  double run_seconds = strtod(Setting(argc, argv, "seconds", "2"), NULL);
  exchange.stride = (uint32_t)NumberSetting(argc, argv, "connections", 1);
  bool is_idle = NumberSetting(argc, argv, "idle", 0) != 0;
  OpenUpTo(&exchange, is_idle ? (exchange.stride + 9) / 10 : exchange.stride, argc, argv);
  if (exchange.stride * exchange.in_flight == 1) {
    exchange.samples = calloc(kSamplesMax, sizeof *exchange.samples);
    if (exchange.samples == NULL) Fail("calloc");
  }
  ExchangeFor(&exchange, is_idle ? kTouchSeconds : kWarmUpSeconds);
  printf("{\"event\":\"ready\"}\n");
  char command[32];
  while (ReadCommand(command, sizeof command) && strcmp(command, "end") != 0) {
    if (strcmp(command, "run") == 0) {
      double cpu = CpuSeconds();
      double start = NowSeconds();
      uint32_t open_before = exchange.connection_count;
      OpenUpTo(&exchange, exchange.stride, argc, argv);
      uint64_t count = ExchangeFor(&exchange, is_idle ? kTouchSeconds : run_seconds);
      double seconds = NowSeconds() - start;
      Report(&exchange, seconds, CpuSeconds() - cpu, count,
             exchange.connection_count - open_before);
    } else if (strcmp(command, "verify") == 0) {
      struct Tally sent = {0};
      for (uint32_t i = 0; i < exchange.connection_count; i++) {
        AddKnown(&sent, i, exchange.stride, exchange.connections[i].sent_count,
                 exchange.message_bytes);
      }
      printf(
          "{\"event\":\"verify\",\"sentCount\":%llu,\"sentChecksum\":\"%08x\","
          "\"answeredCount\":%llu,\"answeredChecksum\":\"%08x\"}\n",
          (unsigned long long)sent.count, sent.sum, (unsigned long long)exchange.seen.count,
          exchange.seen.sum);
    }
  }
  return 0;
}

int main(int argc, char** argv) { return PlayRole(argc, argv, RunServer, RunClient); }
