// What `top` shows: the last answers of each daemon, rates over the last minute, and what the keys
// have chosen. Draws nothing and asks nobody: samples and keys go in, top_view.h makes lines of it.
//
// A daemon that is gone keeps its last sample, marked, until it answers again; counters of a new
// epoch begin anew. While paused, samples are not taken. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nvcv_cached/v1/admin.pb.h"

namespace nvcv_cached::cli {

using TopTime = std::chrono::steady_clock::time_point;

// What one look at a daemon found. Leases and slabs only when they were asked for.
struct TopSample {
  v1::Stats stats;
  std::vector<v1::SessionInfo> sessions;
  std::optional<std::vector<v1::LeaseInfo>> leases;
  std::optional<std::vector<v1::SlabInfo>> slabs;
};

struct TopRates {
  double hits = 0, misses = 0, evictions = 0;  // per second
};

class TopDaemon {
 public:
  static constexpr int kHistorySeconds = 60;

  void Add(TopSample sample, TopTime now);
  void Lose(std::string why) { lost_ = std::move(why); }

  const std::optional<TopSample>& last() const { return last_; }
  TopTime last_time() const { return last_time_; }
  const std::string& lost() const { return lost_; }                // "" while it answers
  const std::optional<TopRates>& rates() const { return rates_; }  // from the second sample on
  double SessionMisses(uint64_t session) const;                    // per second
  // Hits per second in each of the last 60 seconds, the newest last; nullopt: nobody looked.
  std::vector<std::optional<double>> History(TopTime now) const;

 private:
  std::optional<TopSample> last_;
  TopTime last_time_;
  std::string lost_;
  std::optional<TopRates> rates_;
  std::map<uint64_t, double> session_misses_;
  std::deque<std::pair<TopTime, double>> history_;
};

enum class TopView { kSessions, kLeases, kMap, kHelp };
enum class TopSort { kBytes, kIdle, kMisses, kName };
enum class TopKey { kUp, kDown, kEscape };

// Which session of which daemon.
struct TopChoice {
  std::string socket;
  uint64_t session = 0;
  friend bool operator==(const TopChoice&, const TopChoice&) = default;
};

class TopState {
 public:
  void Add(const std::string& socket, TopSample sample, TopTime now);
  void Lose(const std::string& socket, std::string why);

  // False: the user wants to leave.
  bool Press(char key);
  void Press(TopKey key);

  const std::map<std::string, TopDaemon>& daemons() const { return daemons_; }
  TopView view() const { return view_; }
  TopSort sort() const { return sort_; }
  bool paused() const { return paused_; }
  // A session that is there, when there is any.
  std::optional<TopChoice> chosen() const;
  // As they are listed.
  std::vector<v1::SessionInfo> Sessions(const std::string& socket) const;

 private:
  void Show(TopView view) { view_ = view_ == view ? TopView::kSessions : view; }
  void Move(int step);
  std::vector<TopChoice> Choices() const;

  std::map<std::string, TopDaemon> daemons_;  // by socket
  TopView view_ = TopView::kSessions;
  TopSort sort_ = TopSort::kBytes;
  bool paused_ = false;
  std::optional<TopChoice> wanted_;
};

}  // namespace nvcv_cached::cli
