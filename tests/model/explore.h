// Breadth-first search through all reachable states: the first violation found has a shortest
// trace.
//
// A state is remembered by 128 bits of hash (a collision would hide a state; at 10^7 states its
// chance is below 10^-24) and by the move that led to it first; whole states are kept for two
// generations only.
#pragma once

#include <cstdint>
#include <cstdio>
#include <vector>

#include "tests/model/moves.h"
#include "tests/model/rules.h"
#include "tests/model/state.h"

namespace nvcv_cached::model {

struct Hash {
  uint64_t low = 0, high = 0;
  friend bool operator==(const Hash&, const Hash&) = default;
};

inline Hash HashOf(const State& s) {
  uint64_t words[(sizeof(State) + 7) / 8] = {};
  memcpy(words, &s, sizeof s);
  uint64_t a = 0x9e3779b97f4a7c15, b = 0xc2b2ae3d27d4eb4f;
  for (const uint64_t word : words) {
    const __uint128_t p = static_cast<__uint128_t>(a ^ word) * 0xd6e8feb86659fd93u;
    const __uint128_t q = static_cast<__uint128_t>(b + word) * 0xa0761d6478bd642fu;
    a = static_cast<uint64_t>(p) ^ static_cast<uint64_t>(p >> 64) ^ 0xe7037ed1a0b428db;
    b = (static_cast<uint64_t>(q) ^ static_cast<uint64_t>(q >> 64)) + a;
  }
  a ^= a >> 32;
  return Hash{a | 1, b};  // never the free entry
}

// Open addressing; grows by doubling.
class HashSet {
 public:
  bool Insert(Hash hash) {
    if (++count_ * 8 > table_.size() * 5) Grow();
    return Put(hash) || (--count_, false);
  }

 private:
  bool Put(Hash hash) {
    for (size_t i = hash.high & (table_.size() - 1);; i = (i + 1) & (table_.size() - 1)) {
      if (table_[i].low == 0) {
        table_[i] = hash;
        return true;
      }
      if (table_[i] == hash) return false;
    }
  }
  void Grow() {
    std::vector<Hash> old(table_.size() * 2);
    old.swap(table_);
    for (const Hash& hash : old) {
      if (hash.low != 0) Put(hash);
    }
  }

  size_t count_ = 0;
  std::vector<Hash> table_ = std::vector<Hash>(size_t{1} << 16);
};

struct Result {
  uint64_t states = 0, moves = 0;
  int depth = 0;
  const char* broken = nullptr;  // the first rule broken; nullptr: the protocol holds
  std::vector<uint8_t> trace;    // the moves that lead there, by number
  bool cut = false;              // the limit of states was reached
};

inline void CheckAll(const State& s) {
  if (run.broken == nullptr) CheckState(s);
  if (run.broken == nullptr && AtRest(s)) CheckRest(s);
  if (run.broken == nullptr && run.config->check_stop) CheckStop(s);
}

class Explorer {
 public:
  Explorer(const Config& config, uint64_t max_states) : config_(config), max_states_(max_states) {}

  Result Explore() {
    run.broken = nullptr;
    std::vector<State> now, next;
    Reach(InitialState(config_), 0, 0, now);
    for (uint64_t first = 0; !now.empty() && run.broken == nullptr && !result_.cut;
         ++result_.depth) {
      for (size_t i = 0; i < now.size() && run.broken == nullptr && !result_.cut; ++i) {
        uint32_t number = 0;
        ForEachMove(now[i], [&](const State& s) {
          ++result_.moves;
          if (!bad_) Reach(s, static_cast<uint32_t>(first + i), static_cast<uint8_t>(number), next);
          ++number;
        });
      }
      first += now.size();
      now.swap(next);
      next.clear();
    }
    result_.states = parents_.size();
    result_.broken = run.broken;
    if (bad_) result_.trace = TraceTo(static_cast<uint32_t>(parents_.size() - 1));
    return result_;
  }

  // Plays the trace again and prints each step.
  void Narrate(const Result& result, FILE* out) {
    State s = InitialState(config_);
    run.broken = nullptr;
    int line = 0;
    for (const uint8_t wanted : result.trace) {
      // The moves before the wanted one are made too, but silently.
      uint8_t number = 0;
      State next;
      fprintf(out, "%4d  ", ++line);
      run.narrate = wanted == 0 ? out : nullptr;
      ForEachMove(s, [&](const State& to) {
        if (number == wanted) next = to;
        ++number;
        run.narrate = number == wanted ? out : nullptr;
        if (number <= wanted) run.broken = nullptr;
      });
      run.narrate = nullptr;
      s = next;
    }
    run.broken = nullptr;
    if (result.broken[0] == 'L' && AtRest(s)) {
      fprintf(out, "      from here, at rest:\n");
      run.narrate = out;
      CheckRest(s);
      run.narrate = nullptr;
    }
    fprintf(out, "      broken: %s\n", result.broken);
  }

 private:
  void Reach(const State& s, uint32_t parent, uint8_t move, std::vector<State>& into) {
    if (run.broken == nullptr && !seen_.Insert(HashOf(s))) return;
    parents_.push_back(parent);
    moves_.push_back(move);
    CheckAll(s);
    bad_ = run.broken != nullptr;
    into.push_back(s);
    result_.cut = parents_.size() >= max_states_;
  }

  std::vector<uint8_t> TraceTo(uint32_t id) const {
    std::vector<uint8_t> trace;
    for (; id != 0; id = parents_[id]) trace.insert(trace.begin(), moves_[id]);
    return trace;
  }

  const Config config_;
  const uint64_t max_states_;
  HashSet seen_;
  std::vector<uint32_t> parents_;
  std::vector<uint8_t> moves_;
  bool bad_ = false;
  Result result_;
};

}  // namespace nvcv_cached::model
