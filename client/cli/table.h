// Rows of a command's answer, shown as an aligned table or as JSON.
//
// A cell has a text for people and a value for JSON and sorting. Columns marked wide appear with -o
// wide only; JSON has them all. Lines are cut to a terminal's width, and to nothing else's. Not
// thread-safe.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/cli/options.h"
#include "client/cli/terminal.h"

namespace nvcv_cached::cli {

struct Column {
  std::string title;   // "IN-USE"
  std::string key;     // "in_use_bytes": of the JSON and for --sort, beside the title
  bool right = false;  // aligned to the right
  bool wide = false;
};

struct Cell {
  std::string text;
  nlohmann::ordered_json value;
  Tone tone = Tone::kPlain;
};
// Escaped: client text may hold anything.
Cell Text(const std::string& text, Tone tone = Tone::kPlain);
Cell Number(uint64_t number);
Cell Bytes(uint64_t bytes);                   // 9.40GiB
Cell Seconds(double seconds);                 // 2h11
Cell Percent(uint64_t part, uint64_t whole);  // 99.7, "-" of nothing

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as columns; `extra` is added to the row's JSON.
  void Add(std::vector<Cell> cells,
           nlohmann::ordered_json extra = nlohmann::ordered_json::object());

  // Sorts (largest first; throws Failure for an unknown column) and cuts as the options say.
  void Arrange(const GlobalOptions& options);

  std::string ToText(const GlobalOptions& options) const;
  nlohmann::ordered_json ToJson() const;

 private:
  struct Row {
    std::vector<Cell> cells;
    nlohmann::ordered_json extra;
  };
  std::vector<Column> columns_;
  std::vector<Row> rows_;
};

// Printable ASCII and well-formed text pass, the rest becomes \xNN.
std::string Escaped(const std::string& text);

}  // namespace nvcv_cached::cli
