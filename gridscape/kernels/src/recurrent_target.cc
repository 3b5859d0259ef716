// Recurrent layers for one instruction set: compiled once for each, GRIDSCAPE_TARGET is its name.

#include "recurrent.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {
namespace {

RecurrentRoom room_of(CellKind cell, const RecurrentSizes& sizes, bool keeps) {
  const Lengths n(sizes);
  const bool is_gru = cell == CellKind::kGru;
  const int64_t gates = cell == CellKind::kRnn ? 1 : is_gru ? 3 : 4;
  const int64_t of_unit = cell == CellKind::kLstm ? LstmCell::kKept
                          : is_gru                ? kGruKept
                          : cell == CellKind::kRnn ? RnnCell::kKept
                                                   : GruAfterCell::kKept;
  const int64_t columns = gates * n.padded();
  RecurrentRoom room;
  room.rows = (is_gru ? 2 : 1) * (keeps ? n.steps : 2) * n.batch * n.row();
  room.kept = keeps ? n.rows() * n.padded() * of_unit : 0;
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

void run_forward(CellKind cell, const RecurrentSizes& sizes, const float* const* weights,
                       const float* inputs, bool keeps, float* output, float* rows, float* kept,
                       float* room) {
  const Lengths n(sizes);
  const Tape tape = {rows, keeps};
  kept = keeps ? kept : nullptr;
  switch (cell) {
    case CellKind::kRnn:
      return forward<RnnCell>(n, rnn_weights(weights), inputs, output, tape, kept, room);
    case CellKind::kLstm:
      return forward<LstmCell>(n, lstm_weights(weights), inputs, output, tape, kept, room);
    case CellKind::kGruAfter:
      return forward<GruAfterCell>(n, gru_after_weights(weights), inputs, output, tape, kept, room);
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
      return backward<RnnCell>(n, rnn_weights(weights), rows, kept, doutput, rnn_weights(dweights),
                               dgates, room);
    case CellKind::kLstm:
      return backward<LstmCell>(n, lstm_weights(weights), rows, kept, doutput,
                                lstm_weights(dweights), dgates, room);
    case CellKind::kGruAfter:
      return backward<GruAfterCell>(n, gru_after_weights(weights), rows, kept, doutput,
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
      return input_gradient(n, rnn_weights(weights), dgates, dinputs, room, false);
    case CellKind::kLstm:
      return input_gradient(n, lstm_weights(weights), dgates, dinputs, room, false);
    case CellKind::kGruAfter:
      return input_gradient(n, gru_after_weights(weights), dgates, dinputs, room, false);
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
