// Feed-forward layers for one instruction set: compiled for each, named GRIDSCAPE_TARGET.

#include "feedforward.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {
namespace {

DenseWorkspace dense_workspace(const DenseSizes& n) {
  DenseWorkspace workspace;
  workspace.forward = packed_workspace(dense_depth(n), n.outputs);
  workspace.weights = kDepthAtOnce * kRowsAtOnce + packed_workspace(n.batch, n.outputs);
  workspace.inputs = kRowsAtOnce * kPanelBlocks * kBlock + padded(n.outputs) * padded(n.batch);
  return workspace;
}

ConvWorkspace conv_workspace(const ConvSizes& n, bool keeps) {
  const Frame around = frame_of(n), of_gradient = gradient_frame_of(n);
  const int64_t pixels = around.pixels(), F = n.filters;
  const int64_t unpooled = n.pooled ? pixels * F : 0;
  ConvWorkspace workspace;
  workspace.switches = n.pooled && keeps ? (n.batch * pooled_pixels(n) * F + 3) / 4 : 0;
  workspace.forward = around.size() + padded(F) + packed_workspace(around.depth(), F) + unpooled;
  workspace.weights =
      around.size() + unpooled + packed_workspace(pixels, F) + packed_workspace(around.depth(), F);
  workspace.inputs = of_gradient.size() + of_gradient.depth() * padded(n.channels);
  return workspace;
}

}  // namespace

extern const FeedforwardKernels kFeedforward;
const FeedforwardKernels kFeedforward = {dense_workspace, dense_forward,  dense_weights,
                                         dense_inputs,    conv_workspace, conv_forward,
                                         conv_weights,    conv_inputs};

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape
