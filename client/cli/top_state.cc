#include "client/cli/top_state.h"

#include <algorithm>
#include <utility>

#include "client/cli/stats_json.h"

namespace nvcv_cached::cli {

namespace {

uint64_t Evictions(const v1::Totals& totals) {
  uint64_t sum = 0;
  for (const auto& [reason, count] : totals.evictions()) sum += count;
  return sum;
}

double Rate(uint64_t before, uint64_t after, double seconds) {
  return after > before ? static_cast<double>(after - before) / seconds : 0;
}

}  // namespace

void TopDaemon::Add(TopSample sample, TopTime now) {
  const bool goes_on = last_ && last_->stats.epoch() == sample.stats.epoch();
  rates_.reset();
  session_misses_.clear();
  if (goes_on) {
    const double seconds = std::max(
        1e-3, static_cast<double>(sample.stats.time_unix_ms() - last_->stats.time_unix_ms()) / 1e3);
    const v1::Totals &old = last_->stats.totals(), &totals = sample.stats.totals();
    rates_ = TopRates{.hits = Rate(Hits(old), Hits(totals), seconds),
                      .misses = Rate(Misses(old), Misses(totals), seconds),
                      .evictions = Rate(Evictions(old), Evictions(totals), seconds)};
    history_.emplace_back(now, rates_->hits);
    std::map<uint64_t, uint64_t> misses;
    for (const v1::SessionInfo& session : last_->sessions) misses[session.id()] = session.misses();
    for (const v1::SessionInfo& session : sample.sessions) {
      session_misses_[session.id()] = Rate(misses[session.id()], session.misses(), seconds);
    }
    // What was not asked for this time is shown as it was.
    if (!sample.leases) sample.leases = std::move(last_->leases);
    if (!sample.slabs) sample.slabs = std::move(last_->slabs);
  }
  while (!history_.empty() &&
         now - history_.front().first > std::chrono::seconds(kHistorySeconds)) {
    history_.pop_front();
  }
  last_ = std::move(sample);
  last_time_ = now;
  lost_.clear();
}

double TopDaemon::SessionMisses(uint64_t session) const {
  const auto found = session_misses_.find(session);
  return found != session_misses_.end() ? found->second : 0;
}

std::vector<std::optional<double>> TopDaemon::History(TopTime now) const {
  std::vector<std::optional<double>> seconds(kHistorySeconds);
  for (const auto& [time, rate] : history_) {
    const auto ago = std::chrono::duration_cast<std::chrono::seconds>(now - time).count();
    if (ago < 0 || ago >= kHistorySeconds) continue;
    std::optional<double>& second = seconds[static_cast<size_t>(kHistorySeconds - 1 - ago)];
    second = std::max(second.value_or(0), rate);
  }
  return seconds;
}

void TopState::Add(const std::string& socket, TopSample sample, TopTime now) {
  if (!paused_) daemons_[socket].Add(std::move(sample), now);
}

void TopState::Lose(const std::string& socket, std::string why) {
  if (!paused_) daemons_[socket].Lose(std::move(why));
}

bool TopState::Press(char key) {
  switch (key) {
    case 'q':
      return false;
    case 's':
      sort_ = static_cast<TopSort>((static_cast<int>(sort_) + 1) % 4);
      break;
    case 'l':
      Show(TopView::kLeases);
      break;
    case 'm':
      Show(TopView::kMap);
      break;
    case '?':
      Show(TopView::kHelp);
      break;
    case 'p':
      paused_ = !paused_;
      break;
    case 'j':
      Move(1);
      break;
    case 'k':
      Move(-1);
      break;
    default:
      break;
  }
  return true;
}

void TopState::Press(TopKey key) {
  if (key == TopKey::kEscape) {
    view_ = TopView::kSessions;
  } else {
    Move(key == TopKey::kDown ? 1 : -1);
  }
}

std::vector<v1::SessionInfo> TopState::Sessions(const std::string& socket) const {
  const TopDaemon& daemon = daemons_.at(socket);
  if (!daemon.last()) return {};
  std::vector<v1::SessionInfo> sessions = daemon.last()->sessions;
  const auto larger = [&](const v1::SessionInfo& a, const v1::SessionInfo& b) {
    switch (sort_) {
      case TopSort::kIdle:
        return a.idle_bytes() > b.idle_bytes();
      case TopSort::kMisses:
        return daemon.SessionMisses(a.id()) > daemon.SessionMisses(b.id());
      case TopSort::kName:
        return a.name() < b.name();
      case TopSort::kBytes:
        break;
    }
    return a.in_use_bytes() + a.idle_bytes() > b.in_use_bytes() + b.idle_bytes();
  };
  std::stable_sort(sessions.begin(), sessions.end(), larger);
  return sessions;
}

std::vector<TopChoice> TopState::Choices() const {
  std::vector<TopChoice> choices;
  for (const auto& [socket, daemon] : daemons_) {
    for (const v1::SessionInfo& session : Sessions(socket)) {
      choices.push_back({socket, session.id()});
    }
  }
  return choices;
}

std::optional<TopChoice> TopState::chosen() const {
  const std::vector<TopChoice> choices = Choices();
  if (choices.empty()) return std::nullopt;
  if (wanted_ && std::find(choices.begin(), choices.end(), *wanted_) != choices.end()) {
    return wanted_;
  }
  return choices.front();
}

void TopState::Move(int step) {
  const std::vector<TopChoice> choices = Choices();
  const std::optional<TopChoice> at = chosen();
  if (!at) return;
  const auto found = std::find(choices.begin(), choices.end(), *at) - choices.begin();
  const auto next = std::clamp<ptrdiff_t>(found + step, 0, std::ssize(choices) - 1);
  wanted_ = choices[static_cast<size_t>(next)];
}

}  // namespace nvcv_cached::cli
