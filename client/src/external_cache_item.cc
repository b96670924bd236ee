#include "nvcv_cached/external_cache_item.h"

#include <optional>
#include <utility>

#include "client/src/fork_guard.h"
#include "client/src/local_items.h"
#include "nvcv_cached/error.h"

namespace nvcv_cached {
ExternalKey::~ExternalKey() = default;

ExternalCacheItem::ExternalCacheItem(std::shared_ptr<const ExternalKey> key,
                                     const std::function<std::shared_ptr<void>()>& make) {
  client::RefuseInForkedChild();
  if (key == nullptr || make == nullptr) {
    throw InvalidArgument("an ExternalCacheItem without a key or a way to make its payload",
                          "give both");
  }
  std::optional<client::LocalItem> item = client::TakeIdle(*key);
  was_reused_ = item.has_value();
  if (!was_reused_) {
    std::shared_ptr<void> payload = make();
    if (payload == nullptr) {
      throw InvalidArgument("the payload that was made for an ExternalCacheItem is null",
                            "return a shared_ptr to an object");
    }
    item.emplace(client::LocalItem{std::move(key), std::move(payload), client::Membership::Join()});
  }
  key_ = item->key;
  payload_ = client::Lend(*std::move(item));
}

}  // namespace nvcv_cached
