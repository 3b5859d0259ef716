// Recurrent layers for one instruction set: compiled once for each, GRIDSCAPE_TARGET is its name.

#include "few_units.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {
namespace {

int64_t n_gates(CellKind cell) {
  return cell == CellKind::kRnn ? 1 : cell == CellKind::kGru ? 3 : 4;
}

int64_t n_kept(CellKind cell) {
  switch (cell) {
    case CellKind::kRnn: return RnnCell::kKept;
    case CellKind::kLstm: return LstmCell::kKept;
    case CellKind::kGru: return kGruKept;
    default: return GruAfterCell::kKept;
  }
}

bool is_few(CellKind cell, const Lengths& n) {
  return cell != CellKind::kGru && has_few_units(n);
}

RecurrentRoom few_room(CellKind cell, const Lengths& n, bool keeps) {
  const int64_t blocks = blocks_of(n.batch), gates = n_gates(cell) * n.hidden;
  const int64_t state = n.hidden * kBlock, all = blocks * n.steps * kBlock;
  RecurrentRoom room;
  room.rows = blocks * few_rows(n, keeps);
  room.kept = keeps ? all * n.hidden * n_kept(cell) : 0;
  room.dgates = all * gates;
  room.forward = n.depth() * gates + 2 * state;
  room.backward = gates * n.hidden + 3 * state;
  room.inputs = n.features * (gates + kBlock);
  return room;
}

RecurrentRoom room_of(CellKind cell, const RecurrentSizes& sizes, bool keeps) {
  const Lengths n(sizes);
  if (is_few(cell, n)) return few_room(cell, n, keeps);
  const int64_t columns = n_gates(cell) * n.padded(), tapes = cell == CellKind::kGru ? 2 : 1;
  RecurrentRoom room;
  room.rows = tapes * (keeps ? n.steps : 2) * n.batch * n.row();
  room.kept = keeps ? n.rows() * n.padded() * n_kept(cell) : 0;
  room.dgates = n.rows() * columns;
  room.forward = n.depth() * columns + n.state();
  room.backward = n.row() * columns + 2 * n.state();
  room.inputs = columns * blocks_of(n.features) * kBlock;
  return room;
}

// The pointers of a cell's weights, in the order of its parameters.
FusedWeights<1> rnn_weights(const float* const* w) { return {w[0], w[1]}; }
FusedWeights<4> lstm_weights(const float* const* w) { return {w[0], w[1]}; }
FusedWeights<2> gru_gates(const float* const* w) { return {w[0], w[1]}; }
FusedWeights<1> gru_candidate(const float* const* w) { return {w[2], w[3]}; }
GruAfterWeights gru_after_weights(const float* const* w) { return {w[0], w[1], w[2], w[3]}; }

template <typename Cell, typename Weights>
void forward_of(CellKind cell, const Lengths& n, const Weights& weights, const float* inputs,
                float* output, Tape tape, float* kept, float* room) {
  const bool few = is_few(cell, n);
  return few ? few_forward<Cell>(n, weights, inputs, output, tape, kept, room)
             : forward<Cell>(n, weights, inputs, output, tape, kept, room);
}

template <typename Cell, typename Weights>
void backward_of(CellKind cell, const Lengths& n, const Weights& weights, const float* rows,
                 const float* kept, const float* doutput, const Weights& dweights, float* dgates,
                 float* room) {
  const bool few = is_few(cell, n);
  return few ? few_backward<Cell>(n, weights, rows, kept, doutput, dweights, dgates, room)
             : backward<Cell>(n, weights, rows, kept, doutput, dweights, dgates, room);
}

template <typename Weights>
void inputs_of(CellKind cell, const Lengths& n, const Weights& weights, const float* dgates,
               float* dinputs, float* room) {
  const bool few = is_few(cell, n);
  return few ? few_input_gradient(n, weights, dgates, dinputs, room)
             : input_gradient(n, weights, dgates, dinputs, room, false);
}

void run_forward(CellKind cell, const RecurrentSizes& sizes, const float* const* weights,
                       const float* inputs, bool keeps, float* output, float* rows, float* kept,
                       float* room) {
  const Lengths n(sizes);
  const Tape tape = {rows, keeps};
  kept = keeps ? kept : nullptr;
  switch (cell) {
    case CellKind::kRnn:
      return forward_of<RnnCell>(cell, n, rnn_weights(weights), inputs, output, tape, kept, room);
    case CellKind::kLstm:
      return forward_of<LstmCell>(cell, n, lstm_weights(weights), inputs, output, tape, kept, room);
    case CellKind::kGruAfter:
      return forward_of<GruAfterCell>(cell, n, gru_after_weights(weights), inputs, output, tape, kept, room);
    case CellKind::kGru: {
      const Tape second = {rows + (keeps ? n.steps : 2) * n.batch * n.row(), keeps};
      return gru_forward(n, gru_gates(weights), gru_candidate(weights), inputs, output, tape,
                         second, kept, room);
    }
  }
}

void run_backward(CellKind cell, const RecurrentSizes& sizes, const float* const* weights,
                        const float* rows, const float* kept, const float* doutput,
                        float* const* dweights, float* dgates, float* room) {
  const Lengths n(sizes);
  switch (cell) {
    case CellKind::kRnn:
      return backward_of<RnnCell>(cell, n, rnn_weights(weights), rows, kept, doutput, rnn_weights(dweights),
                               dgates, room);
    case CellKind::kLstm:
      return backward_of<LstmCell>(cell, n, lstm_weights(weights), rows, kept, doutput,
                                lstm_weights(dweights), dgates, room);
    case CellKind::kGruAfter:
      return backward_of<GruAfterCell>(cell, n, gru_after_weights(weights), rows, kept, doutput,
                                    gru_after_weights(dweights), dgates, room);
    case CellKind::kGru:
      return gru_backward(n, gru_gates(weights), gru_candidate(weights), rows,
                          rows + n.rows() * n.row(), kept, doutput, gru_gates(dweights),
                          gru_candidate(dweights), dgates, dgates + 2 * n.rows() * n.padded(),
                          room);
  }
}

void run_inputs(CellKind cell, const RecurrentSizes& sizes, const float* const* weights,
                      const float* dgates, float* dinputs, float* room) {
  const Lengths n(sizes);
  switch (cell) {
    case CellKind::kRnn:
      return inputs_of(cell, n, rnn_weights(weights), dgates, dinputs, room);
    case CellKind::kLstm:
      return inputs_of(cell, n, lstm_weights(weights), dgates, dinputs, room);
    case CellKind::kGruAfter:
      return inputs_of(cell, n, gru_after_weights(weights), dgates, dinputs, room);
    case CellKind::kGru:
      input_gradient(n, gru_gates(weights), dgates, dinputs, room, false);
      return input_gradient(n, gru_candidate(weights), dgates + 2 * n.rows() * n.padded(), dinputs,
                            room, true);
  }
}

}  // namespace

extern const RecurrentKernels kRecurrent;
const RecurrentKernels kRecurrent = {room_of, run_forward, run_backward, run_inputs};

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape
