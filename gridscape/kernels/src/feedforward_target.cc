// Feed-forward layers for one instruction set: compiled for each, named GRIDSCAPE_TARGET.

#include "feedforward.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {
namespace {

DenseRoom dense_room(const DenseSizes& n) {
  DenseRoom room;
  room.forward = packed_room(dense_depth(n), n.outputs);
  room.weights = kDepthAtOnce * kRowsAtOnce + packed_room(n.batch, n.outputs);
  room.inputs = kRowsAtOnce * kPanelBlocks * kBlock + padded(n.outputs) * padded(n.batch);
  return room;
}

ConvRoom conv_room(const ConvSizes& n, bool keeps) {
  const Frame around = frame_of(n), of_gradient = gradient_frame_of(n);
  const int64_t pixels = around.pixels(), F = n.filters;
  const int64_t unpooled = n.pooled ? pixels * F : 0;
  ConvRoom room;
  room.switches = n.pooled && keeps ? (n.batch * pooled_pixels(n) * F + 3) / 4 : 0;
  room.forward = around.size() + padded(F) + packed_room(around.depth(), F) + unpooled;
  room.weights = around.size() + unpooled + packed_room(pixels, F) + packed_room(around.depth(), F);
  room.inputs = of_gradient.size() + of_gradient.depth() * padded(n.channels);
  return room;
}

}  // namespace

extern const FeedforwardKernels kFeedforward;
const FeedforwardKernels kFeedforward = {dense_room, dense_forward, dense_weights, dense_inputs,
                                         conv_room,  conv_forward,  conv_weights,  conv_inputs};

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape
