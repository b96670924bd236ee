// The cache's functions, the connection and the device.
#include "nvcv_cached/cache.h"

#include <nanobind/stl/chrono.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <chrono>
#include <cmath>
#include <optional>
#include <string>

#include "arguments.h"
#include "bindings.h"
#include "nvcv_cached/device.h"
#include "nvcv_cached/error.h"

namespace nvcv_cached::python {
namespace {

Scope ScopeNamed(const std::string& name) {
  if (name == "process") return Scope::kProcess;
  if (name == "thread") return Scope::kThread;
  if (name == "daemon") return Scope::kDaemon;
  throw InvalidArgument("unknown scope \"" + name + "\"",
                        "use \"thread\", \"process\" or \"daemon\"");
}

nb::dict StatsDict(const std::string& scope) {
  Stats stats = nvcv_cached::stats(ScopeNamed(scope));
  nb::dict named;
  named["hits"] = stats.hits;
  named["hits_exact"] = stats.hits_exact;
  named["hits_size_class"] = stats.hits_size_class;
  named["hits_depot"] = stats.hits_depot;
  named["misses"] = stats.misses;
  named["misses_reclaim"] = stats.misses_reclaim;
  named["misses_grow"] = stats.misses_grow;
  named["refused"] = stats.refused;
  named["cache_items"] = stats.cache_items;
  named["cache_bytes"] = stats.cache_bytes;
  return named;
}

void Connect(std::optional<std::string> device, std::optional<std::string> address,
             std::optional<std::string> name, std::optional<double> timeout,
             std::optional<bool> autostart, std::optional<bool> strict_streams) {
  Options options{.device = device,
                  .address = address,
                  .name = name,
                  .timeout = {},
                  .autostart = autostart,
                  .strict_streams = strict_streams};
  if (timeout.has_value()) {
    if (!std::isfinite(*timeout) || *timeout <= 0 || *timeout > 1e9) {
      throw InvalidArgument("timeout is " + std::to_string(*timeout) + " seconds",
                            "give a positive number");
    }
    options.timeout =
        std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(*timeout * 1000)));
  }
  connect(options);
}

}  // namespace

void BindCache(nb::module_& module) {
  nb::enum_<Scope>(module, "ThreadScope",
                   "Whose part of the cache: all threads' of this process, or one's own.")
      .value("GLOBAL", Scope::kProcess)
      .value("LOCAL", Scope::kThread)
      .def("__int__", [](Scope self) { return static_cast<int>(self); })
      .def("__index__", [](Scope self) { return static_cast<int>(self); })
      .def("__hash__", [](Scope self) { return static_cast<int>(self); })
      .def("__repr__", [](Scope self) {
        return self == Scope::kThread ? "<ThreadScope.LOCAL: 1>" : "<ThreadScope.GLOBAL: 0>";
      });
  auto scope = nb::arg("scope") = Scope::kProcess;
  module.def("cache_size", &cache_size, scope,
             nb::sig("def cache_size(scope: ThreadScope | int = ...) -> int"),
             "Items in the cache, in use and idle; exact, asked of the daemon.");
  module.def(
      "clear_cache", &clear_cache, scope,
      nb::sig("def clear_cache(scope: ThreadScope | int = ...) -> "
              "None"),
      "Takes the scope's items out of the cache; those in use stay valid until they are released.");
  module.def(
      "current_cache_size_inbytes", [] { return current_cache_size_inbytes(); },
      "Bytes in the cache of this process, in use and idle.");
  module.def("get_cache_limit_inbytes", &get_cache_limit_inbytes,
             "This process's limit in bytes; until it is set, the daemon's.");
  module.def(
      "set_cache_limit_inbytes",
      [](nb::handle limit) { set_cache_limit_inbytes(IntegerOf(limit)); }, nb::arg(),
      nb::sig("def set_cache_limit_inbytes(limit: int, /) -> None"),
      "This process's limit in bytes; the smaller of it and the daemon's is in force. 0 caches "
      "nothing; a negative one is an InvalidArgument.");
  module.def(
      "stats", &StatsDict, nb::arg("scope") = "process",
      nb::sig("def stats(scope: str = 'process') -> dict[str, int]"),
      "Counters by name; `scope` is 'thread', 'process' or 'daemon'; InvalidArgument for "
      "others.\n\n"
      "Counts and bytes, as docs/operate.md explains them: hits, hits_exact, hits_size_class, "
      "hits_depot, misses, misses_reclaim, misses_grow, refused, cache_items, cache_bytes.");
  module.def("connect", &Connect, nb::arg("device") = nb::none(), nb::arg("address") = nb::none(),
             nb::arg("name") = nb::none(), nb::arg("timeout") = nb::none(),
             nb::arg("autostart") = nb::none(), nb::arg("strict_streams") = nb::none(),
             "Connects now, starting a daemon if there is none; what is given wins over the "
             "environment. A `device` is the calling thread's from here on.\n\n"
             "`timeout` is in seconds, of every call that needs the daemon. `strict_streams`: on a "
             "GPU a release waits for all streams.");

  nb::class_<Device>(module, "Device", "Where memory comes from.")
      .def_prop_ro("kind", &Device::kind, "'host' or 'cuda'.")
      .def_prop_ro("id", &Device::id, "'host' or the GPU's UUID.")
      .def_prop_ro("name", &Device::name, "For people, such as 'NVIDIA H200'.")
      .def_prop_ro("total_bytes", &Device::total_bytes, "0 before the first object.")
      .def("__repr__", [](const Device& self) {
        return "<nvcv_cached.Device " + self.id() + " \"" + self.name() + "\" " +
               std::to_string(self.total_bytes()) + " bytes>";
      });
  module.def("device", &device,
             "The device that this thread's objects are made on; connects to none.");
}

}  // namespace nvcv_cached::python
