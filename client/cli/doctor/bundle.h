// The file that a user sends to whoever helps: one JSON object with the findings, the versions, the
// machine, the variables that matter, and what each daemon tells. It holds names of processes,
// users and specs, and nothing of the memory's contents.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/cli/daemons.h"
#include "client/cli/doctor/machine.h"

namespace nvcv_cached::cli {

// Throws Failure when the file cannot be written.
void WriteBundle(const std::string& path, const nlohmann::ordered_json& findings,
                 const std::vector<Daemon>& daemons, const Machine& machine);

}  // namespace nvcv_cached::cli
