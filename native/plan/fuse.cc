#include "fuse.h"

namespace kernelet {
namespace {

// How many live nodes read each node.
std::vector<int> count_readers(const Graph& graph, const NodeFlags& live) {
  std::vector<int> readers(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!live[i]) continue;
    for (int input : graph.nodes[i].inputs) ++readers[static_cast<size_t>(input)];
  }
  return readers;
}

// The one live reader of `node`, or -1 where there are several, or none.
int only_reader(const Graph& graph, const NodeFlags& live, const std::vector<int>& readers, int node) {
  if (node == graph.output || readers[static_cast<size_t>(node)] != 1) return -1;
  for (int i = node + 1; i <= graph.output; ++i) {
    if (!live[static_cast<size_t>(i)]) continue;
    for (int input : graph.nodes[static_cast<size_t>(i)].inputs) {
      if (input == node) return i;
    }
  }
  return -1;
}

}  // namespace

NodeFlags live_nodes(const Graph& graph) {
  NodeFlags live(graph.nodes.size());
  live[static_cast<size_t>(graph.output)] = true;
  for (size_t i = static_cast<size_t>(graph.output) + 1; i-- > 0;) {
    if (!live[i]) continue;
    for (int input : graph.nodes[i].inputs) live[static_cast<size_t>(input)] = true;
  }
  return live;
}

std::vector<Group> fuse(const Graph& graph, const FusionRules& rules) {
  const NodeFlags live = live_nodes(graph);
  const std::vector<int> readers = count_readers(graph, live);
  NodeFlags done(graph.nodes.size());
  std::vector<Group> groups;
  for (int i = 1; i <= graph.output; ++i) {
    const Op op = graph.nodes[static_cast<size_t>(i)].op;
    if (!live[static_cast<size_t>(i)] || done[static_cast<size_t>(i)] || op == Op::constant) continue;
    Group group{{i}};
    const auto fuses = definition_of(op).fuses;
    while (rules.enabled && fuses != nullptr) {
      const int next = only_reader(graph, live, readers, group.nodes.back());
      if (next < 0 || !fuses(graph, group.nodes, graph.nodes[static_cast<size_t>(next)], rules)) break;
      group.nodes.push_back(next);
      done[static_cast<size_t>(next)] = true;
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

}  // namespace kernelet
