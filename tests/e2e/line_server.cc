#include "tests/e2e/line_server.h"

#include <unistd.h>

#include <cstdlib>
#include <sstream>

namespace nvcv_cached::e2e {

void LineServer::Worker::Push(Line line) {
  std::lock_guard lock(mutex);
  lines.push_back(std::move(line));
  more.notify_one();
}

bool LineServer::Worker::Pop(Line* line) {
  std::unique_lock lock(mutex);
  more.wait(lock, [this] { return closed || !lines.empty(); });
  if (lines.empty()) return false;
  *line = std::move(lines.front());
  lines.pop_front();
  return true;
}

void LineServer::Worker::Close() {
  std::lock_guard lock(mutex);
  closed = true;
  more.notify_one();
}

void LineServer::Answer(const std::string& number, Json answer) {
  if (!answer.is_object()) answer = Json::object();
  answer["n"] = std::stoll(number);
  std::string text = answer.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  std::lock_guard lock(out_mutex_);
  size_t written = 0;
  while (written < text.size()) {
    ssize_t count = ::write(STDOUT_FILENO, text.data() + written, text.size() - written);
    if (count <= 0) return;
    written += static_cast<size_t>(count);
  }
}

void LineServer::Execute(const Line& line) {
  auto verb = verbs_.find(line.words.front());
  try {
    if (verb == verbs_.end()) throw VerbError("NoSuchVerb", line.words.front());
    Answer(line.number, verb->second(Args(line.words.begin() + 1, line.words.end())));
  } catch (const VerbError& error) {
    Answer(line.number, {{"error", error.kind()}, {"text", error.what()}});
  } catch (const std::exception& error) {
    Answer(line.number, {{"error", "std::exception"}, {"text", error.what()}});
  }
}

void LineServer::Work(Worker* worker) {
  Line line;
  while (worker->Pop(&line)) Execute(line);
}

void LineServer::Dispatch(const std::string& text) {
  std::istringstream words(text);
  Line line;
  std::string thread, word;
  if (!(words >> line.number)) return;
  while (words >> word) {
    if (line.words.empty() && thread.empty() && word[0] == '@') {
      thread = word.substr(1);
    } else {
      line.words.push_back(word);
    }
  }
  if (line.words.empty()) return;
  const std::string& verb = line.words.front();
  if (verb == "halt") {
    halted_ = true;
    return Answer(line.number, {});
  }
  std::lock_guard lock(workers_mutex_);
  if (verb == "thread") {
    halted_ = false;
    auto& worker = workers_[line.words.at(1)];
    worker = std::make_unique<Worker>();
    worker->thread = std::thread(&LineServer::Work, this, worker.get());
    return Answer(line.number, {});
  }
  if (thread.empty()) return main_.Push(std::move(line));
  auto worker = workers_.find(thread);
  if (worker == workers_.end()) return Answer(line.number, {{"error", "NoSuchThread"}});
  worker->second->Push(std::move(line));
}

void LineServer::Read() {
  std::string buffered;
  char chunk[4096];
  while (true) {
    ssize_t count = ::read(STDIN_FILENO, chunk, sizeof(chunk));
    if (count <= 0) std::_Exit(0);  // the test is gone
    buffered.append(chunk, static_cast<size_t>(count));
    size_t end;
    while ((end = buffered.find('\n')) != std::string::npos) {
      Dispatch(buffered.substr(0, end));
      buffered.erase(0, end + 1);
    }
  }
}

int LineServer::Run() {
  On("join", [this](const Args& args) {
    std::unique_ptr<Worker> worker;
    {
      std::lock_guard lock(workers_mutex_);
      worker = std::move(workers_.at(args.at(0)));
      workers_.erase(args.at(0));
    }
    worker->Close();
    worker->thread.join();
    return Json::object();
  });
  std::thread(&LineServer::Read, this).detach();
  Line line;
  while (main_.Pop(&line)) {
    if (line.words.front() == "exit") return line.words.size() > 1 ? std::stoi(line.words[1]) : 0;
    Execute(line);
  }
  return 0;
}

}  // namespace nvcv_cached::e2e
