// The calls of feed-forward layers: shapes are checked, then each trial runs the chosen kernels.

#include <cstring>

#include "calls.h"
#include "dispatch.h"

namespace gridscape {
namespace {

const char* const kShapes = "arrays of other shapes than the layer asks for";
const char* const kWorkspace = "workspace of another size";

// Those whose products have operands of float32, or of bfloat16: null without instructions for it.
const FeedforwardKernels* kernels_of(bool bfloat16) {
  return bfloat16 ? chosen().feedforward_bfloat16 : chosen().feedforward;
}

ffi::Error no_bfloat16() { return refused("no products of bfloat16 by this instruction set"); }

// ---- dense ----

// x (B, I), kernel (I, J), bias (J) unless without -> y (B, J), workspace.
ffi::Error dense_forward(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets,
                         bool bfloat16, int64_t activation, bool has_bias) {
  if (!kernels_of(bfloat16)) return no_bfloat16();
  const FeedforwardKernels& kernels = *kernels_of(bfloat16);
  Call call(args, rets);
  auto x = call.arg(0, 2), kernel = call.arg(1, 2), bias = call.arg(has_bias ? 2 : 1, 1);
  auto y = call.ret(0, 2), workspace = call.ret(1, 1);
  if (call.failed()) return call.error();
  const DenseSizes n = {x.own[0], x.own[1], y.own[1]};
  const Shape trials = y.lead;
  call.expect_shape(kernel, {n.inputs, n.outputs}, kShapes);
  call.expect_shape(y, {n.batch, n.outputs}, kShapes);
  if (has_bias) call.expect_shape(bias, {n.outputs}, kShapes);
  call.expect(workspace.own_size == kernels.dense_workspace(n).forward, kWorkspace);
  for (const auto* each : {&x, &kernel, &workspace}) call.expect_trials(*each, trials);
  if (has_bias) call.expect_trials(bias, trials);
  if (call.failed()) return call.error();
  for_trials(pool, trials.product(), [&](int64_t k) {
    kernels.dense_forward(n, static_cast<Activation>(activation), x.of(k, trials),
                          kernel.of(k, trials), has_bias ? bias.of(k, trials) : nullptr,
                          y.of(k, trials), workspace.of(k, trials));
  });
  return ffi::Error::Success();
}

// x (B, I), y (B, J), dy (B, J) -> dkernel (I, J), dbias (J) or (0), dz (B, J) or (0, J),
// workspace.
ffi::Error dense_weights(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets,
                         bool bfloat16, int64_t activation, bool has_bias) {
  if (!kernels_of(bfloat16)) return no_bfloat16();
  const FeedforwardKernels& kernels = *kernels_of(bfloat16);
  Call call(args, rets);
  const auto kind = static_cast<Activation>(activation);
  auto x = call.arg(0, 2), y = call.arg(1, 2), dy = call.arg(2, 2);
  auto dkernel = call.ret(0, 2), dbias = call.ret(1, 1), dz = call.ret(2, 2);
  auto workspace = call.ret(3, 1);
  if (call.failed()) return call.error();
  const DenseSizes n = {x.own[0], x.own[1], y.own[1]};
  const Shape trials = dkernel.lead;
  call.expect_shape(dkernel, {n.inputs, n.outputs}, kShapes);
  call.expect_shape(dbias, {has_bias ? n.outputs : 0}, kShapes);
  call.expect_shape(dz, {kind == Activation::kLinear ? 0 : n.batch, n.outputs}, kShapes);
  for (const auto* each : {&y, &dy}) call.expect_shape(*each, {n.batch, n.outputs}, kShapes);
  call.expect(workspace.own_size == kernels.dense_workspace(n).weights, kWorkspace);
  for (const auto* each : {&x, &y, &dy, &dbias, &dz, &workspace}) call.expect_trials(*each, trials);
  if (call.failed()) return call.error();
  for_trials(pool, trials.product(), [&](int64_t k) {
    kernels.dense_weights(n, kind, x.of(k, trials), y.of(k, trials), dy.of(k, trials),
                          dkernel.of(k, trials), has_bias ? dbias.of(k, trials) : nullptr,
                          dz.of(k, trials), workspace.of(k, trials));
  });
  return ffi::Error::Success();
}

// kernel (I, J), dz (B, J) -> dx (B, I), workspace.
ffi::Error dense_inputs(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets,
                        bool bfloat16) {
  if (!kernels_of(bfloat16)) return no_bfloat16();
  const FeedforwardKernels& kernels = *kernels_of(bfloat16);
  Call call(args, rets);
  auto kernel = call.arg(0, 2), dz = call.arg(1, 2), dx = call.ret(0, 2),
       workspace = call.ret(1, 1);
  if (call.failed()) return call.error();
  const DenseSizes n = {dz.own[0], kernel.own[0], kernel.own[1]};
  const Shape trials = dx.lead;
  call.expect_shape(dz, {n.batch, n.outputs}, kShapes);
  call.expect_shape(dx, {n.batch, n.inputs}, kShapes);
  call.expect(workspace.own_size == kernels.dense_workspace(n).inputs, kWorkspace);
  for (const auto* each : {&kernel, &dz, &workspace}) call.expect_trials(*each, trials);
  if (call.failed()) return call.error();
  for_trials(pool, trials.product(), [&](int64_t k) {
    kernels.dense_inputs(n, kernel.of(k, trials), dz.of(k, trials), dx.of(k, trials),
                         workspace.of(k, trials));
  });
  return ffi::Error::Success();
}

// ---- convolution ----

ConvSizes conv_sizes(const PerTrial& images, const PerTrial& kernel, bool pooled) {
  const Shape &of = images.own, &window = kernel.own;
  return {of[0], of[1], of[2], of[3], window[3], window[0], window[1], pooled};
}

void expect_outputs(Call& call, const ConvSizes& n, const PerTrial& y) {
  const int64_t height = n.pooled ? (n.height + 1) / 2 : n.height;
  const int64_t width = n.pooled ? (n.width + 1) / 2 : n.width;
  call.expect_shape(y, {n.batch, height, width, n.filters}, kShapes);
}

// images (B, Y, X, C), kernel (k, l, C, F), bias (F) -> y (B, Y, X, F), or pooled, switches,
// workspace.
ffi::Error conv_forward(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets,
                        bool bfloat16, bool pooled, bool keeps) {
  if (!kernels_of(bfloat16)) return no_bfloat16();
  const FeedforwardKernels& kernels = *kernels_of(bfloat16);
  Call call(args, rets);
  auto images = call.arg(0, 4), kernel = call.arg(1, 4), bias = call.arg(2, 1);
  auto y = call.ret(0, 4), switches = call.ret(1, 1), workspace = call.ret(2, 1);
  if (call.failed()) return call.error();
  const ConvSizes n = conv_sizes(images, kernel, pooled);
  const ConvWorkspace need = kernels.conv_workspace(n, keeps);
  const Shape trials = y.lead;
  call.expect_shape(kernel, {n.rows, n.columns, n.channels, n.filters}, kShapes);
  call.expect_shape(bias, {n.filters}, kShapes);
  expect_outputs(call, n, y);
  call.expect(switches.own_size == need.switches && workspace.own_size == need.forward, kWorkspace);
  for (const auto* each : {&images, &kernel, &bias, &switches, &workspace}) {
    call.expect_trials(*each, trials);
  }
  if (call.failed()) return call.error();
  for_trials(pool, trials.product(), [&](int64_t k) {
    kernels.conv_forward(n, images.of(k, trials), kernel.of(k, trials), bias.of(k, trials),
                         y.of(k, trials), need.switches ? switches.of(k, trials) : nullptr,
                         workspace.of(k, trials));
  });
  return ffi::Error::Success();
}

// images (B, Y, X, C), switches, dy -> dkernel (k, l, C, F), dbias (F), workspace.
ffi::Error conv_weights(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets,
                        bool bfloat16, bool pooled) {
  if (!kernels_of(bfloat16)) return no_bfloat16();
  const FeedforwardKernels& kernels = *kernels_of(bfloat16);
  Call call(args, rets);
  auto images = call.arg(0, 4), switches = call.arg(1, 1), dy = call.arg(2, 4);
  auto dkernel = call.ret(0, 4), dbias = call.ret(1, 1), workspace = call.ret(2, 1);
  if (call.failed()) return call.error();
  const ConvSizes n = conv_sizes(images, dkernel, pooled);
  const ConvWorkspace need = kernels.conv_workspace(n, true);
  const Shape trials = dkernel.lead;
  call.expect_shape(dkernel, {n.rows, n.columns, n.channels, n.filters}, kShapes);
  call.expect_shape(dbias, {n.filters}, kShapes);
  expect_outputs(call, n, dy);
  call.expect(switches.own_size == need.switches && workspace.own_size == need.weights, kWorkspace);
  for (const auto* each : {&images, &switches, &dy, &dbias, &workspace}) {
    call.expect_trials(*each, trials);
  }
  if (call.failed()) return call.error();
  for_trials(pool, trials.product(), [&](int64_t k) {
    kernels.conv_weights(n, images.of(k, trials), switches.of(k, trials), dy.of(k, trials),
                         dkernel.of(k, trials), dbias.of(k, trials), workspace.of(k, trials));
  });
  return ffi::Error::Success();
}

// kernel (k, l, C, F), switches, dy -> dimages (B, Y, X, C), workspace.
ffi::Error conv_inputs(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets,
                       bool bfloat16, bool pooled) {
  if (!kernels_of(bfloat16)) return no_bfloat16();
  const FeedforwardKernels& kernels = *kernels_of(bfloat16);
  Call call(args, rets);
  auto kernel = call.arg(0, 4), switches = call.arg(1, 1), dy = call.arg(2, 4);
  auto dimages = call.ret(0, 4), workspace = call.ret(1, 1);
  if (call.failed()) return call.error();
  const ConvSizes n = conv_sizes(dimages, kernel, pooled);
  const ConvWorkspace need = kernels.conv_workspace(n, true);
  const Shape trials = dimages.lead;
  call.expect_shape(kernel, {n.rows, n.columns, n.channels, n.filters}, kShapes);
  expect_outputs(call, n, dy);
  call.expect(switches.own_size == need.switches && workspace.own_size == need.inputs, kWorkspace);
  for (const auto* each : {&kernel, &switches, &dy, &workspace}) call.expect_trials(*each, trials);
  if (call.failed()) return call.error();
  for_trials(pool, trials.product(), [&](int64_t k) {
    kernels.conv_inputs(n, kernel.of(k, trials), switches.of(k, trials), dy.of(k, trials),
                        dimages.of(k, trials), workspace.of(k, trials));
  });
  return ffi::Error::Success();
}

}  // namespace
}  // namespace gridscape

namespace ffi = xla::ffi;

#define GRIDSCAPE_BIND() \
  ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().RemainingArgs().RemainingRets().Attr<bool>("bfloat16")

XLA_FFI_DEFINE_HANDLER_SYMBOL(gridscape_dense_forward, gridscape::dense_forward,
                              GRIDSCAPE_BIND().Attr<int64_t>("activation").Attr<bool>("has_bias"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(gridscape_dense_weights, gridscape::dense_weights,
                              GRIDSCAPE_BIND().Attr<int64_t>("activation").Attr<bool>("has_bias"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(gridscape_dense_inputs, gridscape::dense_inputs, GRIDSCAPE_BIND());
XLA_FFI_DEFINE_HANDLER_SYMBOL(gridscape_conv_forward, gridscape::conv_forward,
                              GRIDSCAPE_BIND().Attr<bool>("pooled").Attr<bool>("keeps"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(gridscape_conv_weights, gridscape::conv_weights,
                              GRIDSCAPE_BIND().Attr<bool>("pooled"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(gridscape_conv_inputs, gridscape::conv_inputs,
                              GRIDSCAPE_BIND().Attr<bool>("pooled"));

// Into `workspace`: the fields of DenseWorkspace.
extern "C" void gridscape_dense_workspace(const int64_t* sizes, bool bfloat16, int64_t* workspace) {
  const auto* kernels = gridscape::kernels_of(bfloat16);
  if (!kernels) return;  // the call itself says so
  const gridscape::DenseSizes n = {sizes[0], sizes[1], sizes[2]};
  const auto found = kernels->dense_workspace(n);
  std::memcpy(workspace, &found, sizeof(found));
}

// Into `workspace`: the fields of ConvWorkspace. sizes: images, then filters, rows, columns.
extern "C" void gridscape_conv_workspace(const int64_t* sizes, bool bfloat16, bool pooled,
                                         bool keeps, int64_t* workspace) {
  const auto* kernels = gridscape::kernels_of(bfloat16);
  if (!kernels) return;
  const gridscape::ConvSizes n = {sizes[0], sizes[1], sizes[2], sizes[3],
                                  sizes[4], sizes[5], sizes[6], pooled};
  const auto found = kernels->conv_workspace(n, keeps);
  std::memcpy(workspace, &found, sizeof(found));
}
