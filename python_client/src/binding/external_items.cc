// ExternalCacheItem: a Python object that is dear to make, kept in the cache under a key.
#include <memory>
#include <utility>

#include "bindings.h"
#include "foreign.h"
#include "nvcv_cached/external_cache_item.h"

namespace nvcv_cached::python {
namespace {

// Equality is the object's own; its hash is asked for once, with the GIL.
class PyKey final : public ExternalKey {
 public:
  explicit PyKey(nb::handle object)
      : object_(Keep(nb::borrow(object))), hash_(static_cast<std::size_t>(nb::hash(object))) {}

  std::size_t hash() const override { return hash_; }
  bool equals(const ExternalKey& other) const override {
    const auto* const key = dynamic_cast<const PyKey*>(&other);
    if (key == nullptr || key->hash_ != hash_) return false;
    const int equal = PyObject_RichCompareBool(object(), key->object(), Py_EQ);
    if (equal < 0) PyErr_Clear();  // what cannot be compared is another key
    return equal == 1;
  }
  PyObject* object() const { return static_cast<PyObject*>(const_cast<void*>(object_.get())); }

 private:
  const std::shared_ptr<const void> object_;
  const std::size_t hash_;
};

struct PyItem {
  ExternalCacheItem item;
};

ExternalCacheItem Get(nb::handle key, nb::handle make) {
  return ExternalCacheItem(std::make_shared<PyKey>(key),
                           [&] { return std::const_pointer_cast<void>(Keep(make())); });
}

}  // namespace

void BindExternalItems(nb::module_& module) {
  nb::class_<PyItem>(
      module, "ExternalCacheItem", nb::is_weak_referenceable(),
      "A payload that is kept in the cache beside tensors and images: an idle one of this "
      "thread under an equal key, or what `make()` returns.\n\n"
      "Counts as an item of 0 bytes. It is given back when this object ends.")
      .def(
          "__init__",
          [](PyItem* self, nb::handle key, nb::handle make) {
            if (PyCallable_Check(make.ptr()) == 0) throw nb::next_overload();
            new (self) PyItem{Get(key, make)};
          },
          nb::arg("key"), nb::arg("make"),
          nb::sig("def __init__(self, key: typing.Hashable, make: typing.Callable[[], object]) -> "
                  "None"),
          "`key` names the payload's type and arguments.")
      .def_prop_ro(
          "payload",
          [](const PyItem& self) {
            return nb::borrow(reinterpret_cast<PyObject*>(&self.item.payload<char>()));
          },
          nb::sig("def payload(self) -> typing.Any"), "What `make` returned.")
      .def_prop_ro(
          "key",
          [](const PyItem& self) {
            return nb::borrow(dynamic_cast<const PyKey&>(self.item.key()).object());
          },
          nb::sig("def key(self) -> typing.Any"), "As given when the payload was made.")
      .def_prop_ro(
          "was_reused", [](const PyItem& self) { return self.item.was_reused(); },
          "Found idle in the cache.");
}

}  // namespace nvcv_cached::python
