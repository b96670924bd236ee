#include "tests/core/world.h"

#include <sys/mman.h>

#include <algorithm>

namespace nvcv_cached::server {

using lease_table::Fence;
using lease_table::State;
using lease_table::Word;

void TableFree::operator()(lease_table::Table* table) const {
  ::munmap(table, lease_table::kTableBytes);
}

Client::Client(World& world, SessionOptions options)
    : world_(world),
      table_(static_cast<lease_table::Table*>(::mmap(nullptr, lease_table::kTableBytes,
                                                     PROT_READ | PROT_WRITE,
                                                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))),
      opened_(world.clock.Now()) {
  id_ = world.books.OpenSession(options, table_.get());
}

RequestId Client::Ask(uint64_t size, const Options& options) {
  AcquireRequest request;
  request.received = world_.clock.Now();
  request.id = next_request_++;
  request.size_bytes = size;
  request.alignment = options.alignment;
  request.thread_tag = options.thread_tag;
  request.timeout = options.timeout;
  request.ahead = options.ahead;
  request.spec = options.spec;
  sizes_[request.id] = size;
  const RequestId id = request.id;
  if (absl::Status status = world_.books.Acquire(id_, std::move(request)); !status.ok()) {
    SendRefusal refusal;
    refusal.status = status;
    refusals[id] = refusal;
  }
  world_.Run();
  return id;
}

std::optional<Handle> Client::Granted(RequestId request) const {
  auto it = grants.find(request);
  if (it == grants.end()) return std::nullopt;
  const GrantedLease& lease = it->second.leases.front();
  return Handle{lease.slot, lease.word, lease.block, sizes_.at(request)};
}

const SendRefusal* Client::Refused(RequestId request) const {
  auto it = refusals.find(request);
  return it == refusals.end() ? nullptr : &it->second;
}

std::optional<Handle> Client::Acquire(uint64_t size, const Options& options) {
  return Granted(Ask(size, options));
}

bool Client::Release(Handle& handle, std::optional<Fence> fence) {
  const auto age = std::chrono::duration_cast<Duration>(world_.clock.Now() - opened_);
  auto word =
      lease_table::Release(slot(handle), handle.word, fence, static_cast<uint32_t>(age.count()));
  if (word) handle.word = *word;
  return word.has_value();
}

bool Client::Reuse(Handle& handle) {
  auto word = lease_table::Reuse(slot(handle), handle.word);
  if (word) handle.word = *word;
  return word.has_value();
}

void Client::Return(Handle& handle, Message message, std::optional<Fence> fence) {
  if (lease_table::Return(slot(handle), handle.word, fence)) {
    handle.word = handle.word.Next(State::kReturned, handle.word.revoked());
  }
  if (message == Message::kForget) return;
  const uint32_t slots[] = {handle.slot};
  (void)world_.books.Returned(id_, slots);
  world_.Run();
}

void Client::Drop(Handle& handle) {
  if (!Release(handle)) Return(handle);
}

void Client::ForgetAnswers() {
  for (const auto& [request, grant] : grants) sizes_.erase(request);
  for (const auto& [request, refusal] : refusals) sizes_.erase(request);
  grants.clear();
  refusals.clear();
}

void Client::Die() {
  world_.books.ProcessExited(id_);
  world_.books.SocketClosed(id_);
  world_.Run();
}

Client* World::Find(SessionId id) {
  auto it = clients_.find(id);
  return it == clients_.end() ? nullptr : it->second.get();
}

void World::Do(const AllocateSlab& job) {
  if (device_fails || job.size_bytes > device_room || device_bytes > device_room - job.size_bytes) {
    books.SlabFailed(job.slab, absl::ResourceExhaustedError("no memory left on the device"));
    return;
  }
  device_slabs[job.slab] = job.size_bytes;
  device_bytes += job.size_bytes;
  peak_device_bytes = std::max(peak_device_bytes, device_bytes);
  books.SlabReady(job.slab);
}

void World::Do(const FreeSlab& job) {
  device_bytes -= device_slabs.at(job.slab);
  device_slabs.erase(job.slab);
  books.SlabFreed(job.slab);
}

void World::DeviceWorks() {
  while (!device_jobs.empty()) {
    const Effect job = device_jobs.front();
    device_jobs.pop_front();
    if (auto* make = std::get_if<AllocateSlab>(&job)) Do(*make);
    if (auto* free = std::get_if<FreeSlab>(&job)) Do(*free);
    Run();
  }
}

void World::Run() {
  for (Effects effects = books.TakeEffects(); !effects.empty(); effects = books.TakeEffects()) {
    for (Effect& effect : effects) {
      if (auto* grant = std::get_if<SendGrant>(&effect)) {
        Client* client = Find(grant->session);
        for (const auto& slab : grant->new_slabs) client->slabs[slab.id] = slab.size_bytes;
        client->grants[grant->request] = *grant;
        grant_log.push_back(*grant);
      } else if (auto* refusal = std::get_if<SendRefusal>(&effect)) {
        Find(refusal->session)->refusals[refusal->request] = *refusal;
      } else if (auto* retire = std::get_if<SendRetire>(&effect)) {
        Client* client = Find(retire->session);
        if (client->unmaps) {
          client->slabs.erase(retire->slab);
          (void)books.Unmapped(retire->session, retire->slab);
        } else {
          client->retiring.insert(retire->slab);
        }
      } else if (auto* kill = std::get_if<KillSession>(&effect)) {
        Find(kill->session)->killed = kill->status;
      } else if (auto* ended = std::get_if<SessionEnded>(&effect)) {
        Find(ended->session)->ended = ended->cause;
      } else if (device_waits) {
        device_jobs.push_back(effect);
      } else if (auto* make = std::get_if<AllocateSlab>(&effect)) {
        Do(*make);
      } else if (auto* free = std::get_if<FreeSlab>(&effect)) {
        Do(*free);
      }
    }
  }
}

}  // namespace nvcv_cached::server
