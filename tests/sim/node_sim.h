// World::Node is one life of the server: its cores, store thread, rings and mesh.
#pragma once
#include <memory>
#include <vector>

#include "core/mesh.h"
#include "world.h"

namespace perch::sim {

struct World::Node {
  uint16_t num_cores = 1;
  std::unique_ptr<Random> random;
  std::unique_ptr<store::Writer> writer;
  std::unique_ptr<Mesh> mesh;
  std::vector<std::unique_ptr<SimRing>> rings;      // of the cores, then of the store
  std::vector<std::unique_ptr<MetricsPage>> pages;  // of the cores, then of the store
  std::vector<std::unique_ptr<Log>> logs;           // nobody reads them
  std::vector<std::unique_ptr<chat::Core>> cores;
  std::unique_ptr<chat::StoreThread> store_thread;
  std::vector<std::unique_ptr<chat::Question>> questions;  // of the operator; those without an answer
  uint64_t stops_at_ns = UINT64_MAX;
};

}  // namespace perch::sim
