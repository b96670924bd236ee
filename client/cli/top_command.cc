// top: a live view of the node's daemons, full screen on a terminal, blocks of text elsewhere.
#include <langinfo.h>
#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <clocale>
#include <csignal>
#include <cstdlib>
#include <string_view>

#include "client/cli/commands.h"
#include "client/cli/daemons.h"
#include "client/cli/print.h"
#include "client/cli/terminal.h"
#include "client/cli/top_feed.h"
#include "client/cli/top_screen.h"
#include "client/cli/top_view.h"

namespace nvcv_cached::cli {

namespace {

constexpr std::chrono::milliseconds kScreenInterval{500}, kTextInterval{1000}, kOnceInterval{250};
constexpr size_t kEndless = SIZE_MAX;  // blocks of text

// Signals that come through a descriptor while this lives. Threads made meanwhile block them too,
// so none of them runs a handler in the middle of a call.
class SignalsAsEvents {
 public:
  SignalsAsEvents() {
    sigset_t all;
    ::sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) ::sigdelset(&all, fault);
    ::pthread_sigmask(SIG_BLOCK, &all, &before_);
    sigset_t ours;
    ::sigemptyset(&ours);
    for (const int signal : {SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
      ::sigaddset(&ours, signal);
    }
    fd_ = UniqueFd(::signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  ~SignalsAsEvents() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsAsEvents(const SignalsAsEvents&) = delete;
  SignalsAsEvents& operator=(const SignalsAsEvents&) = delete;

  int fd() const { return fd_.get(); }
  // ^Z and what follows it are the terminal library's, in this thread alone.
  void AllowJobControl() {
    sigset_t jobs;
    ::sigemptyset(&jobs);
    for (const int signal : {SIGTSTP, SIGCONT, SIGTTIN, SIGTTOU}) ::sigaddset(&jobs, signal);
    ::pthread_sigmask(SIG_UNBLOCK, &jobs, nullptr);
  }
  // The next one that waits, or 0.
  int Next() {
    signalfd_siginfo info{};
    return ::read(fd_.get(), &info, sizeof(info)) == sizeof(info) ? static_cast<int>(info.ssi_signo)
                                                                  : 0;
  }

 private:
  sigset_t before_;
  UniqueFd fd_;
};

void TakeAll(TopFeed& feed, TopState& state) {
  for (TopFeed::News& news : feed.Take()) {
    const auto now = std::chrono::steady_clock::now();
    if (auto* sample = std::get_if<TopSample>(&news.what)) {
      state.Add(news.socket, std::move(*sample), now);
    } else {
      state.Lose(news.socket, std::get<std::string>(news.what));
    }
  }
}

// Until the user leaves (0) or a signal ends it (its number).
int RunOnScreen(TopFeed& feed, SignalsAsEvents& signals, bool color, bool utf8) {
  TopScreen screen(color);
  signals.AllowJobControl();
  TopState state;
  while (true) {
    const auto [rows, columns] = screen.size();
    const TopFrame frame{.width = columns, .height = rows, .utf8 = utf8};
    screen.Show(DrawTop(state, frame, std::chrono::steady_clock::now()));
    pollfd waits[] = {
        {STDIN_FILENO, POLLIN, 0}, {signals.fd(), POLLIN, 0}, {feed.event_fd(), POLLIN, 0}};
    ::poll(waits, std::size(waits), 1000);
    while (const int signal = signals.Next()) {
      if (signal != SIGWINCH) return signal;
      screen.FollowSize();
    }
    if ((waits[0].revents & (POLLHUP | POLLERR)) != 0) return SIGHUP;  // the terminal has gone
    if (!screen.Press(state)) return 0;
    feed.Want({.slabs = state.view() == TopView::kMap,
               .leases = state.view() == TopView::kLeases ? state.chosen() : std::nullopt});
    TakeAll(feed, state);
  }
}

std::string PlainText(const std::vector<TopLine>& lines) {
  std::string text;
  for (const TopLine& line : lines) {
    std::string plain;
    for (const TopSpan& span : line) plain += span.text;
    text += plain.substr(0, plain.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

// Blocks of text, `looks` of them. Rates need two looks: the first is not shown.
int RunAsText(TopFeed& feed, SignalsAsEvents& signals, size_t daemons, size_t looks, bool utf8,
              std::chrono::milliseconds timeout) {
  TopState state;
  auto began = std::chrono::steady_clock::now();
  std::map<std::string, TopTime> shown;
  for (size_t block = 0; block < looks;) {
    feed.Wait(std::chrono::milliseconds(100));
    if (const int signal = signals.Next(); signal != 0 && signal != SIGWINCH) return signal;
    TakeAll(feed, state);
    const auto now = std::chrono::steady_clock::now();
    // A daemon that gives no answer does not hold up the others for ever.
    bool all_new = state.daemons().size() == daemons, any_new = false;
    for (const auto& [socket, daemon] : state.daemons()) {
      const bool is_new = daemon.rates() && daemon.last_time() != shown[socket];
      all_new = all_new && (is_new || !daemon.lost().empty());
      any_new = any_new || is_new;
    }
    const bool late =
        now - began > timeout + (block > 0 ? kTextInterval : std::chrono::milliseconds(0));
    if (!(all_new && any_new) && !late) continue;
    if (late && !any_new && (block == 0 || looks != kEndless)) {
      throw Failure(ExitCode::kNotServing, "no_answer", "top: no answer in time",
                    "check the daemon's process, or raise --timeout");
    }
    for (const auto& [socket, daemon] : state.daemons()) shown[socket] = daemon.last_time();
    const TopFrame frame{
        .width = std::nullopt, .height = std::nullopt, .utf8 = utf8, .keys = false};
    Print((block > 0 ? "\n" : "") + PlainText(DrawTop(state, frame, now)));
    std::fflush(stdout);
    if (std::ferror(stdout) != 0) return 0;  // nobody reads any more; main() says so
    ++block;
    began = now;
  }
  return 0;
}

int Top(const GlobalOptions& options, size_t looks) {
  if (options.output == Output::kJson || options.watch_seconds) {
    throw Failure(ExitCode::kUsage, "usage", "top draws, and repeats by itself",
                  "nvcv-cachectl stats -o json -w");
  }
  std::setlocale(LC_CTYPE, "");
  const bool utf8 = std::string_view(::nl_langinfo(CODESET)) == "UTF-8";
  const char* term = std::getenv("TERM");
  const bool on_screen = looks == 0 && ::isatty(STDIN_FILENO) == 1 &&
                         ::isatty(STDOUT_FILENO) == 1 && term != nullptr &&
                         std::string_view(term) != "dumb";
  SignalsAsEvents signals;
  std::vector<std::string> sockets;
  for (const Daemon& daemon : DaemonsToRead(options)) sockets.push_back(daemon.socket());
  TopFeed feed(sockets, options.timeout,
               on_screen    ? kScreenInterval
               : looks == 1 ? kOnceInterval
                            : kTextInterval);
  if (on_screen) return RunOnScreen(feed, signals, TerminalFor(options).color, utf8);
  return RunAsText(feed, signals, sockets.size(), looks == 0 ? kEndless : looks, utf8,
                   options.timeout);
}

}  // namespace

void AddTopCommand(CLI::App& app, const GlobalOptions& options) {
  CLI::App* top = app.add_subcommand("top", "A live view: rates, memory, sessions by bytes");
  top->footer(
      "Keys: up, down choose a session; l its leases; m memory map; s sort; p pause; ? help; q "
      "quit.\nOff a terminal, and with -n, blocks of text.");
  auto looks = std::make_shared<size_t>(0);
  top->add_option("-n", *looks, "Print this many blocks of text and leave")
      ->check(CLI::PositiveNumber)
      ->option_text("N");
  top->callback([&options, looks] {
    // -n may stand before the command too.
    const size_t blocks = *looks != 0 ? *looks : options.rows.value_or(0);
    if (const int signal = Top(options, blocks); signal != 0) {
      // The terminal is as it was; the caller is to see what ended it.
      std::signal(signal, SIG_DFL);
      std::raise(signal);
    }
  });
}

}  // namespace nvcv_cached::cli
