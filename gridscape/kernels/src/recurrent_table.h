// The table of recurrent layers on operands of such numbers: what recurrent_target.cc and
// recurrent_bfloat16_target.cc compile.

#ifndef GRIDSCAPE_RECURRENT_TABLE_H_
#define GRIDSCAPE_RECURRENT_TABLE_H_

#include "few_units.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

inline int64_t n_gates(CellKind cell) {
  return cell == CellKind::kRnn ? 1 : cell == CellKind::kGru ? 3 : 4;
}

// A cell as it runs on rows of such numbers.
template <typename Number, typename Cell>
using On = std::conditional_t<Cell::kReadsState && !Number::kExact, HoldingState<Cell>, Cell>;

template <typename Number>
int64_t n_kept(CellKind cell) {
  switch (cell) {
    case CellKind::kRnn:
      return RnnCell::kKept;
    case CellKind::kLstm:
      return LstmCell::kKept;
    case CellKind::kGru:
      return kGruKept<Number>;
    default:
      return On<Number, GruAfterCell>::kKept;
  }
}

inline bool is_few(CellKind cell, const Few& n) {
  return cell != CellKind::kGru && has_few_units(n);
}

inline RecurrentWorkspace few_workspace(CellKind cell, const Few& n, bool keeps) {
  const int64_t blocks = blocks_of(n.batch), gates = n_gates(cell) * n.hidden;
  const int64_t state = n.hidden * kBlock, all = blocks * n.steps * kBlock;
  RecurrentWorkspace workspace;
  workspace.rows = blocks * few_rows(n, keeps);
  workspace.kept = keeps ? all * n.hidden * n_kept<Float32>(cell) : 0;
  workspace.dgates = all * gates;
  workspace.forward = n.depth() * gates + 2 * state;
  workspace.backward = gates * n.hidden + 3 * state;
  workspace.inputs = n.features * (gates + kBlock);
  return workspace;
}

template <typename Number>
RecurrentWorkspace units_workspace(CellKind cell, const Lengths<Number>& n, bool keeps) {
  const int64_t gates = n_gates(cell), columns = gates * n.padded();
  const int64_t tapes = cell == CellKind::kGru ? 2 : 1;
  const int64_t words = gates * n.blocks() * kBlockWords<Number>;  // of a row of gates
  RecurrentWorkspace workspace;
  workspace.rows = tapes * (keeps ? n.steps : 2) * n.batch * n.row();
  workspace.kept = keeps ? n.rows() * n.padded() * n_kept<Number>(cell) : 0;
  workspace.dgates = n.rows() * words;
  workspace.forward =
      words_of<Number>(n.depth()) * columns + bias_workspace(n, gates) + 2 * n.state();
  workspace.backward = 2 * n.state() + n.width() * columns + deep_workspace<Number>(n.row());
  workspace.inputs = words * blocks_of(n.features) * kBlock;
  return workspace;
}

template <typename Number>
RecurrentWorkspace workspace_on(CellKind cell, const RecurrentSizes& sizes, bool keeps) {
  const Lengths<Number> n(sizes);
  if constexpr (Number::kExact) {
    if (is_few(cell, n)) return few_workspace(cell, n, keeps);
  }
  return units_workspace(cell, n, keeps);
}

// The pointers of a cell's weights, in the order of its parameters.
template <typename Float>
FusedWeights<1, Float> rnn_weights(Float* const* w) {
  return {w[0], w[1]};
}
template <typename Float>
FusedWeights<4, Float> lstm_weights(Float* const* w) {
  return {w[0], w[1]};
}
template <typename Float>
FusedWeights<2, Float> gru_gates(Float* const* w) {
  return {w[0], w[1]};
}
template <typename Float>
FusedWeights<1, Float> gru_candidate(Float* const* w) {
  return {w[2], w[3]};
}
template <typename Float>
GruAfterWeights<Float> gru_after_weights(Float* const* w) {
  return {w[0], w[1], w[2], w[3]};
}

template <typename Cell, typename Number, typename Weights>
void forward_of(CellKind cell, const Lengths<Number>& n, const Weights& weights,
                const float* inputs, float* output, Tape tape, float* kept, float* workspace) {
  if constexpr (Number::kExact) {
    if (is_few(cell, n))
      return few_forward<Cell>(n, weights, inputs, output, tape, kept, workspace);
  }
  forward<On<Number, Cell>>(n, weights, inputs, output, tape, kept, workspace);
}

template <typename Cell, typename Number, typename Weights>
void backward_of(CellKind cell, const Lengths<Number>& n, const Weights& weights, const float* rows,
                 const float* kept, const float* doutput,
                 const typename Weights::Gradients& dweights, float* dgates, float* workspace) {
  if constexpr (Number::kExact) {
    if (is_few(cell, n)) {
      return few_backward<Cell>(n, weights, rows, kept, doutput, dweights, dgates, workspace);
    }
  }
  backward<On<Number, Cell>>(n, weights, rows, kept, doutput, dweights, dgates, workspace);
}

template <typename Number, typename Weights>
void inputs_of(CellKind cell, const Lengths<Number>& n, const Weights& weights, const float* dgates,
               float* dinputs, float* workspace) {
  if constexpr (Number::kExact) {
    if (is_few(cell, n)) return few_input_gradient(n, weights, dgates, dinputs, workspace);
  }
  input_gradient(n, weights, dgates, dinputs, workspace, false);
}

template <typename Number>
void forward_on(CellKind cell, const RecurrentSizes& sizes, const float* const* weights,
                const float* inputs, bool keeps, float* output, float* rows, float* kept,
                float* workspace) {
  const Lengths<Number> n(sizes);
  const Tape tape = {rows, keeps};
  kept = keeps ? kept : nullptr;
  switch (cell) {
    case CellKind::kRnn:
      return forward_of<RnnCell>(cell, n, rnn_weights(weights), inputs, output, tape, kept,
                                 workspace);
    case CellKind::kLstm:
      return forward_of<LstmCell>(cell, n, lstm_weights(weights), inputs, output, tape, kept,
                                  workspace);
    case CellKind::kGruAfter:
      return forward_of<GruAfterCell>(cell, n, gru_after_weights(weights), inputs, output, tape,
                                      kept, workspace);
    case CellKind::kGru: {
      const Tape second = {rows + (keeps ? n.steps : 2) * n.batch * n.row(), keeps};
      return gru_forward(n, gru_gates(weights), gru_candidate(weights), inputs, output, tape,
                         second, kept, workspace);
    }
  }
}

// Where the gradients by the candidate of a GRU begin.
template <typename Number>
int64_t dcandidate_at(const Lengths<Number>& n) {
  return 2 * n.rows() * n.blocks() * kBlockWords<Number>;
}

template <typename Number>
void backward_on(CellKind cell, const RecurrentSizes& sizes, const float* const* weights,
                 const float* rows, const float* kept, const float* doutput, float* const* dweights,
                 float* dgates, float* workspace) {
  const Lengths<Number> n(sizes);
  switch (cell) {
    case CellKind::kRnn:
      return backward_of<RnnCell>(cell, n, rnn_weights(weights), rows, kept, doutput,
                                  rnn_weights(dweights), dgates, workspace);
    case CellKind::kLstm:
      return backward_of<LstmCell>(cell, n, lstm_weights(weights), rows, kept, doutput,
                                   lstm_weights(dweights), dgates, workspace);
    case CellKind::kGruAfter:
      return backward_of<GruAfterCell>(cell, n, gru_after_weights(weights), rows, kept, doutput,
                                       gru_after_weights(dweights), dgates, workspace);
    case CellKind::kGru:
      return gru_backward(n, gru_gates(weights), gru_candidate(weights), rows,
                          rows + n.rows() * n.row(), kept, doutput, gru_gates(dweights),
                          gru_candidate(dweights), dgates, dgates + dcandidate_at(n), workspace);
  }
}

template <typename Number>
void inputs_on(CellKind cell, const RecurrentSizes& sizes, const float* const* weights,
               const float* dgates, float* dinputs, float* workspace) {
  const Lengths<Number> n(sizes);
  switch (cell) {
    case CellKind::kRnn:
      return inputs_of(cell, n, rnn_weights(weights), dgates, dinputs, workspace);
    case CellKind::kLstm:
      return inputs_of(cell, n, lstm_weights(weights), dgates, dinputs, workspace);
    case CellKind::kGruAfter:
      return inputs_of(cell, n, gru_after_weights(weights), dgates, dinputs, workspace);
    case CellKind::kGru:
      input_gradient(n, gru_gates(weights), dgates, dinputs, workspace, false);
      return input_gradient(n, gru_candidate(weights), dgates + dcandidate_at(n), dinputs,
                            workspace, true);
  }
}

template <typename Number>
constexpr RecurrentKernels kTable = {workspace_on<Number>, forward_on<Number>, backward_on<Number>,
                                     inputs_on<Number>};

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape

#endif  // GRIDSCAPE_RECURRENT_TABLE_H_
