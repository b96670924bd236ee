// The random program (program.h): 30,000 steps, 10,000,000 with NVCV_CACHED_LONG=1.
// NVCV_CACHED_TEST_STEPS sets the length, NVCV_CACHED_TEST_SEED the seed, which is printed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>

#include "tests/contract/program.h"

namespace nvcv_cached::contract {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : fallback;
}

TEST(RandomProgram, CountersAreTheModelsAfterEveryStep) {
  const bool is_long = FromEnvironment("NVCV_CACHED_LONG", 0) == 1;
  const uint64_t steps = FromEnvironment("NVCV_CACHED_TEST_STEPS", is_long ? 10'000'000 : 30'000);
  const uint64_t seed = FromEnvironment("NVCV_CACHED_TEST_SEED", std::random_device()());
  std::cout << "NVCV_CACHED_TEST_SEED=" << seed << ", " << steps << " steps" << std::endl;
  Program program(seed);
  for (uint64_t step = 0; step < steps; ++step) {
    try {
      program.Step();
      if (step % 64 == 0) program.CheckAll();
    } catch (const std::exception& error) {
      FAIL() << error.what() << "\nin step " << step << " of NVCV_CACHED_TEST_SEED=" << seed << ": "
             << program.Last();
    }
    if (is_long && step % 100'000 == 0) std::cout << step << std::endl;
  }
  ASSERT_NO_THROW(program.CheckPremise());
  for (const auto& [what, count] : program.done()) std::cout << count << " " << what << "\n";
}

}  // namespace
}  // namespace nvcv_cached::contract
