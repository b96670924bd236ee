#include "client/cli/table.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <utility>

#include "client/cli/failure.h"
#include "proto/units.h"

namespace nvcv_cached::cli {

namespace {

// "IN-USE", "in_use" and "in-use" name the same column.
std::string Folded(const std::string& name) {
  std::string folded;
  for (char c : name) folded += c == '-' ? '_' : static_cast<char>(std::tolower(c));
  return folded;
}

bool Names(const Column& column, const std::string& wanted) {
  const std::string name = Folded(wanted);
  return Folded(column.title) == name || column.key == name || column.key == name + "_bytes" ||
         column.key == name + "_seconds";
}

}  // namespace

std::string Escaped(const std::string& text) {
  std::string result;
  for (unsigned char c : text) {
    if (c >= 0x20 && c < 0x7f) {
      result += static_cast<char>(c);
    } else {
      char escape[5];
      std::snprintf(escape, sizeof(escape), "\\x%02x", c);
      result += escape;
    }
  }
  return result;
}

Cell Text(const std::string& text, Tone tone) {
  const std::string escaped = Escaped(text);
  return {.text = escaped.empty() ? "-" : escaped, .value = escaped, .tone = tone};
}
Cell Number(uint64_t number) { return {.text = std::to_string(number), .value = number}; }
Cell Bytes(uint64_t bytes) { return {.text = FormatSize(bytes), .value = bytes}; }
Cell Seconds(double seconds) {
  if (seconds < 0) return {.text = "-", .value = nullptr};
  // Whole seconds: an operator's table has no use for milliseconds.
  const auto whole = std::chrono::seconds(static_cast<int64_t>(seconds));
  return {.text = whole.count() == 0 ? "0s" : FormatDuration(whole), .value = seconds};
}
Cell Percent(uint64_t part, uint64_t whole) {
  if (whole == 0) return {.text = "-", .value = nullptr};
  const double percent = 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  char text[16];
  std::snprintf(text, sizeof(text), "%.1f", percent);
  return {.text = text, .value = percent};
}

void Table::Add(std::vector<Cell> cells, nlohmann::ordered_json extra) {
  rows_.push_back({std::move(cells), std::move(extra)});
}

void Table::Arrange(const GlobalOptions& options) {
  if (!options.sort.empty()) {
    const bool ascending = options.sort[0] == '-';
    const std::string wanted = options.sort.substr(ascending ? 1 : 0);
    const auto column = std::find_if(columns_.begin(), columns_.end(),
                                     [&](const Column& c) { return Names(c, wanted); });
    if (column == columns_.end()) {
      std::string known;
      for (const Column& c : columns_) known += " " + Folded(c.title);
      throw Failure(ExitCode::kUsage, "invalid_argument", "--sort " + wanted + ": no such column",
                    "choose one of" + known);
    }
    const size_t at = static_cast<size_t>(column - columns_.begin());
    std::stable_sort(rows_.begin(), rows_.end(), [&](const Row& a, const Row& b) {
      const auto& [x, y] = std::pair(a.cells[at].value, b.cells[at].value);
      return ascending ? x < y : y < x;
    });
  }
  if (options.rows && rows_.size() > *options.rows) rows_.resize(*options.rows);
}

std::string Table::ToText(const GlobalOptions& options) const {
  const Terminal terminal = TerminalFor(options);
  std::vector<size_t> shown, widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].wide && options.output != Output::kWide) continue;
    size_t width = options.headers ? columns_[i].title.size() : 0;
    for (const Row& row : rows_) width = std::max(width, row.cells[i].text.size());
    shown.push_back(i);
    widths.push_back(width);
  }
  // Cells are ASCII: a column of the terminal is a byte, and colours are added around what is left.
  auto line_of = [&](auto&& text_of, auto&& paint) {
    std::string line;
    size_t used = 0;
    for (size_t k = 0; k < shown.size(); ++k) {
      std::string text = text_of(shown[k]);
      const std::string pad(widths[k] - text.size(), ' ');
      std::string before = k > 0 ? "  " : "", after;
      if (columns_[shown[k]].right) {
        before += pad;
      } else if (k + 1 < shown.size()) {
        after = pad;
      }
      if (terminal.width) {
        const size_t room = *terminal.width - std::min(*terminal.width, used);
        before = before.substr(0, room);
        text = text.substr(0, room - before.size());
        after = after.substr(0, room - before.size() - text.size());
      }
      used += before.size() + text.size() + after.size();
      line += before + paint(shown[k], text) + after;
    }
    return line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  };
  std::string text;
  if (options.headers) {
    text += line_of([&](size_t i) { return columns_[i].title; },
                    [&](size_t, const std::string& title) { return Bold(title, terminal); });
  }
  for (const Row& row : rows_) {
    text += line_of([&](size_t i) { return row.cells[i].text; },
                    [&](size_t i, const std::string& cell) {
                      return Colored(cell, row.cells[i].tone, terminal);
                    });
  }
  return text;
}

nlohmann::ordered_json Table::ToJson() const {
  auto rows = nlohmann::ordered_json::array();
  for (const Row& row : rows_) {
    nlohmann::ordered_json json;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (!columns_[i].key.empty()) json[columns_[i].key] = row.cells[i].value;
    }
    json.update(row.extra);
    rows.push_back(std::move(json));
  }
  return rows;
}

}  // namespace nvcv_cached::cli
