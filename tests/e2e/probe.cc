// A client process that does what a test tells it, through the public API alone (line_server.h has
// the frame).
//
//   connect [ADDRESS|- [TIMEOUT_MS [NAME]]]
//   buffer COUNT BYTES [ALIGNMENT]        -> ids          tensor TYPE LAYOUT|- EXTENT...   -> ids
//   drop ID... | drop all                 size ID         -> bytes
//   fill ID SEED      check ID SEED       -> wrong words (seed 0 is all zeros)
//   reserve COUNT BYTES                    leaves COUNT idle buffers
//   loop COUNT BYTES                      COUNT times made and dropped
//   many THREADS COUNT BYTES              the same on THREADS new threads at once
//   fresh COUNT BYTES                     one buffer on each of COUNT new threads, one after the
//   other churn SEED LIVE MAX_BYTES [COUNT]     random sizes, each filled and checked, until COUNT
//   or "halt" stats|size|bytes [process|thread|daemon]   clear [process|thread]   limit [BYTES]
//   device fork live | fork write ID SEED | fork use ID      -> pid exec PATH ARGUMENT... break
//   PATH             exit [CODE]      _exit [CODE]
#include <nvcv_cached/nvcv_cached.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <variant>

#include "tests/e2e/line_server.h"

namespace nvcv_cached::e2e {
namespace {

using Object = std::variant<Buffer, Tensor>;

// With static storage, so that what is still in it at exit is destroyed as late as a user's global
// would be.
std::mutex objects_mutex;
std::map<int, Object> objects;
int next_id = 1;

const char* Kind(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "InvalidArgument";
    case ErrorCode::kOutOfMemory:
      return "OutOfMemory";
    case ErrorCode::kQuotaExceeded:
      return "QuotaExceeded";
    case ErrorCode::kUnavailable:
      return "Unavailable";
    case ErrorCode::kDeadlineExceeded:
      return "DeadlineExceeded";
    case ErrorCode::kPermissionDenied:
      return "PermissionDenied";
    case ErrorCode::kVersionMismatch:
      return "VersionMismatch";
    case ErrorCode::kDeviceError:
      return "DeviceError";
    case ErrorCode::kForked:
      return "Forked";
    case ErrorCode::kOverflow:
      return "Overflow";
    case ErrorCode::kUnderflow:
      return "Underflow";
    case ErrorCode::kNotImplemented:
      return "NotImplemented";
    case ErrorCode::kInternal:
      return "Internal";
  }
  return "?";
}

struct Memory {
  uint64_t* words;
  size_t count;
};

Memory MemoryOf(Object& object) {
  return std::visit(
      [](auto& thing) {
        return Memory{static_cast<uint64_t*>(thing.data()), thing.size_bytes() / sizeof(uint64_t)};
      },
      object);
}

uint64_t PatternWord(uint64_t seed, size_t index) {
  return seed == 0 ? 0 : seed + index * 0x9E3779B97F4A7C15;
}

void Fill(Memory memory, uint64_t seed) {
  for (size_t i = 0; i < memory.count; ++i) memory.words[i] = PatternWord(seed, i);
}

size_t WrongWords(Memory memory, uint64_t seed) {
  size_t wrong = 0;
  for (size_t i = 0; i < memory.count; ++i) wrong += memory.words[i] != PatternWord(seed, i);
  return wrong;
}

int Keep(Object object) {
  std::lock_guard lock(objects_mutex);
  objects.emplace(next_id, std::move(object));
  return next_id++;
}

Object Find(const std::string& id) {
  std::lock_guard lock(objects_mutex);
  return objects.at(std::stoi(id));
}

Scope ScopeOf(const Args& args) {
  std::string name = args.empty() ? "process" : args[0];
  if (name == "thread") return Scope::kThread;
  if (name == "daemon") return Scope::kDaemon;
  if (name == "process") return Scope::kProcess;
  throw VerbError("BadArgument", name);
}

Json MakeBuffers(const Args& args) {
  Json ids = Json::array();
  for (int i = std::stoi(args.at(0)); i > 0; --i) {
    ids.push_back(
        Keep(Buffer(std::stoull(args.at(1)), args.size() > 2 ? std::stoull(args[2]) : 0)));
  }
  return {{"ids", ids}};
}

Json MakeTensor(const Args& args) {
  std::vector<int64_t> extents;
  for (size_t i = 2; i < args.size(); ++i) extents.push_back(std::stoll(args[i]));
  auto type = DataType::FromName(args.at(0));
  if (!type) throw VerbError("BadArgument", args[0]);
  Tensor tensor(Shape(extents), *type, args.at(1) == "-" ? TensorLayout() : TensorLayout(args[1]));
  return {{"ids", {Keep(std::move(tensor))}}};
}

Json Drop(const Args& args) {
  std::vector<Object> dying;  // outside of the lock: drops of several threads meet in the library
  std::lock_guard lock(objects_mutex);
  if (args.at(0) == "all") {
    for (auto& [id, object] : objects) dying.push_back(std::move(object));
    objects.clear();
  } else {
    for (const std::string& id : args) {
      auto found = objects.find(std::stoi(id));
      if (found == objects.end()) throw VerbError("BadArgument", id);
      dying.push_back(std::move(found->second));
      objects.erase(found);
    }
  }
  return {{"dropped", dying.size()}};
}

Json Many(const Args& args) {
  std::vector<std::thread> threads;
  std::mutex mutex;
  Json errors = Json::object();
  uint64_t wrong = 0;
  for (int t = std::stoi(args.at(0)); t > 0; --t) {
    threads.emplace_back([&, t] {
      try {
        for (int i = std::stoi(args.at(1)); i > 0; --i) {
          Object object = Buffer(std::stoull(args.at(2)));
          Fill(MemoryOf(object), static_cast<uint64_t>(t));
          size_t bad = WrongWords(MemoryOf(object), static_cast<uint64_t>(t));
          std::lock_guard lock(mutex);
          wrong += bad;
        }
      } catch (const Error& error) {
        std::lock_guard lock(mutex);
        errors[Kind(error.code())] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return {{"wrong", wrong}, {"errors", errors}};
}

Json Churn(const LineServer& server, const Args& args) {
  std::mt19937_64 random(std::stoull(args.at(0)));
  size_t live = std::stoull(args.at(1));
  uint64_t max_bytes = std::stoull(args.at(2));
  uint64_t left = args.size() > 3 ? std::stoull(args[3]) : UINT64_MAX;
  struct Held {
    Object object;
    uint64_t seed;
  };
  std::vector<Held> held;
  uint64_t made = 0, wrong = 0;
  std::map<std::string, uint64_t> errors;
  std::string text;
  auto let_go = [&](size_t index) {
    wrong += WrongWords(MemoryOf(held[index].object), held[index].seed);
    std::swap(held[index], held.back());
    held.pop_back();
  };
  for (; left > 0 && !server.halted(); --left) {
    uint64_t bytes = std::max<uint64_t>(8, (max_bytes >> (random() % 6)) * (random() % 8 + 1) / 8);
    try {
      held.push_back({Buffer(bytes), random() | 1});
      Fill(MemoryOf(held.back().object), held.back().seed);
      ++made;
    } catch (const Error& error) {
      ++errors[Kind(error.code())];
      text = error.what();
      if (!held.empty()) let_go(random() % held.size());
    }
    if (held.size() > live) let_go(random() % held.size());
  }
  while (!held.empty()) let_go(held.size() - 1);
  return {{"made", made}, {"wrong", wrong}, {"errors", errors}, {"text", text}};
}

// ---- processes
// --------------------------------------------------------------------------------------------

// What a forked child finds when it uses the library. The answer travels through a pipe.
Json UseInChild() {
  Json found;
  try {
    Buffer buffer(512);
    found["buffer"] = "ok";
  } catch (const Error& error) {
    found["buffer"] = Kind(error.code());
    found["text"] = error.what();
  }
  try {
    Stats counted = stats();
    found["stats"] = counted.hits;
  } catch (const Error& error) {
    found["stats"] = Kind(error.code());
  }
  return found;
}

// The exit status of a child, or "hung" after five seconds.
Json WaitFor(pid_t pid) {
  int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  pollfd poll_fd{pidfd, POLLIN, 0};
  bool ended = ::poll(&poll_fd, 1, 5000) == 1;
  ::close(pidfd);
  if (!ended) ::kill(pid, SIGKILL);
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (!ended) return "hung";
  return WIFEXITED(status) ? Json(WEXITSTATUS(status))
                           : Json("signal " + std::to_string(WTERMSIG(status)));
}

// Set in a child that is to leave main() by itself, with its parent's objects still alive.
Json Fork(const Args& args) {
  const std::string& mode = args.at(0);
  Memory memory{};
  if (args.size() > 1) {
    Object object = Find(args[1]);
    memory = MemoryOf(object);
  }
  int ends[2];
  if (::pipe(ends) != 0) throw VerbError("pipe", std::strerror(errno));
  pid_t pid = ::fork();
  if (pid == 0) {
    ::close(STDIN_FILENO);
    ::close(STDOUT_FILENO);
    ::close(ends[0]);
    Json report = Json::object();
    if (mode == "use") {
      report = UseInChild();
      std::lock_guard lock(objects_mutex);
      if (args.size() > 1) objects.erase(std::stoi(args[1]));
    }
    if (mode == "write") Fill(memory, std::stoull(args.at(2)));
    std::string text = report.dump();
    if (::write(ends[1], text.data(), text.size()) < 0) ::_exit(3);
    ::close(ends[1]);
    if (mode == "use") std::exit(0);  // destructors, atexit: all of it
    while (mode == "write") Fill(memory, std::stoull(args.at(2)));
    while (true) ::pause();
  }
  ::close(ends[1]);
  std::string text;
  char chunk[1024];
  for (ssize_t count; (count = ::read(ends[0], chunk, sizeof(chunk))) > 0;) {
    text.append(chunk, static_cast<size_t>(count));
  }
  ::close(ends[0]);
  Json answer{{"pid", pid}, {"child", Json::parse(text, nullptr, false)}};
  if (mode == "use") answer["status"] = WaitFor(pid);
  return answer;
}

Json Exec(const Args& args) {
  std::vector<char*> argv;
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  throw VerbError("exec", std::strerror(errno));
}

// Shuts down every socket of this process that is connected to `path`, as a network would.
Json Break(const Args& args) {
  int broken = 0;
  for (int fd = 3; fd < 1024; ++fd) {
    sockaddr_un peer{};
    socklen_t size = sizeof(peer);
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) continue;
    if (peer.sun_family != AF_UNIX || args.at(0) != peer.sun_path) continue;
    ::shutdown(fd, SHUT_RDWR);
    ++broken;
  }
  return {{"broken", broken}};
}

Json Connect(const Args& args) {
  Options options;
  if (!args.empty() && args[0] != "-") options.address = args[0];
  if (args.size() > 1) options.timeout = std::chrono::milliseconds(std::stoll(args[1]));
  if (args.size() > 2) options.name = args[2];
  connect(options);
  return Json::object();
}

Json StatsOf(const Args& args) {
  Stats s = stats(ScopeOf(args));
  return {{"hits", s.hits},
          {"hits_exact", s.hits_exact},
          {"hits_size_class", s.hits_size_class},
          {"hits_depot", s.hits_depot},
          {"misses", s.misses},
          {"misses_reclaim", s.misses_reclaim},
          {"misses_grow", s.misses_grow},
          {"refused", s.refused},
          {"cache_items", s.cache_items},
          {"cache_bytes", s.cache_bytes}};
}

// A verb whose library errors are answered by their class.
LineServer::Verb Guarded(LineServer::Verb verb) {
  return [verb = std::move(verb)](const Args& args) -> Json {
    try {
      return verb(args);
    } catch (const Error& error) {
      throw VerbError(Kind(error.code()), error.what());
    }
  };
}

int Main() {
  LineServer& server = *new LineServer;  // its threads outlive main()
  auto on = [&server](const char* name, LineServer::Verb verb) {
    server.On(name, Guarded(std::move(verb)));
  };
  on("connect", Connect);
  on("buffer", MakeBuffers);
  on("tensor", MakeTensor);
  on("drop", Drop);
  on("many", Many);
  on("churn", [&server](const Args& args) { return Churn(server, args); });
  on("stats", StatsOf);
  on("fork", Fork);
  on("exec", Exec);
  on("break", Break);
  on("fill", [](const Args& args) {
    Object object = Find(args.at(0));
    Fill(MemoryOf(object), std::stoull(args.at(1)));
    return Json::object();
  });
  on("check", [](const Args& args) {
    Object object = Find(args.at(0));
    return Json{{"wrong", WrongWords(MemoryOf(object), std::stoull(args.at(1)))}};
  });
  on("size_of", [](const Args& args) {
    Object object = Find(args.at(0));
    return Json{{"bytes", std::visit([](auto& thing) { return thing.size_bytes(); }, object)}};
  });
  on("reserve", [](const Args& args) {
    reserve<Buffer>(std::stoull(args.at(0)), std::stoull(args.at(1)));
    return Json::object();
  });
  on("loop", [](const Args& args) {
    for (int i = std::stoi(args.at(0)); i > 0; --i) Buffer(std::stoull(args.at(1)));
    return Json::object();
  });
  on("fresh", [](const Args& args) {
    for (int i = std::stoi(args.at(0)); i > 0; --i) {
      Json ignored = Many({"1", "1", args.at(1)});
      if (!ignored["errors"].empty()) throw VerbError("Error", ignored["errors"].dump());
    }
    return Json::object();
  });
  on("size", [](const Args& args) { return Json{{"items", cache_size(ScopeOf(args))}}; });
  on("bytes", [](const Args& args) {
    return Json{{"bytes", current_cache_size_inbytes(ScopeOf(args))}};
  });
  on("clear", [](const Args& args) {
    clear_cache(ScopeOf(args));
    return Json::object();
  });
  on("limit", [](const Args& args) {
    if (!args.empty()) set_cache_limit_inbytes(std::stoll(args[0]));
    return Json{{"bytes", get_cache_limit_inbytes()}};
  });
  on("device", [](const Args&) {
    Device d = device();
    return Json{{"kind", d.kind()}, {"id", d.id()}, {"total_bytes", d.total_bytes()}};
  });
  on("_exit", [](const Args& args) -> Json { ::_exit(args.empty() ? 0 : std::stoi(args[0])); });
  return server.Run();
}

}  // namespace
}  // namespace nvcv_cached::e2e

int main() { return nvcv_cached::e2e::Main(); }
