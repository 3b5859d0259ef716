// The calls of recurrent layers: shapes are checked, then each trial runs the chosen kernels.

#include <cstring>
#include <vector>

#include "calls.h"
#include "dispatch.h"

namespace gridscape {
namespace {

// Those whose products have operands of float32, or of bfloat16.
const RecurrentKernels& kernels_of(bool bfloat16) {
  return bfloat16 ? *chosen().recurrent_bfloat16 : *chosen().recurrent;
}

size_t n_weights(int64_t cell) {
  const auto kind = static_cast<CellKind>(cell);
  return kind == CellKind::kGru || kind == CellKind::kGruAfter ? 4 : 2;
}

// Of the first bias: how many times the width it has.
int64_t n_widths(CellKind kind) {
#define GRIDSCAPE_WIDTHS(kind, name, widths) widths,
  constexpr int64_t kWidths[] = {GRIDSCAPE_CELLS(GRIDSCAPE_WIDTHS)};
#undef GRIDSCAPE_WIDTHS
  return kWidths[static_cast<int64_t>(kind)];
}

// Kernels have two dimensions, the biases after them one.
std::vector<PerTrial> weights_of(Call& call, int64_t cell, bool results) {
  std::vector<PerTrial> found;
  for (size_t w = 0; w < n_weights(cell); ++w) {
    const size_t rank = w % 2 == 0 ? 2 : 1;
    found.push_back(results ? call.ret(w, rank) : call.arg(w, rank));
  }
  return found;
}

void expect_weights(Call& call, const std::vector<PerTrial>& weights, int64_t cell,
                    const RecurrentSizes& n) {
  const int64_t D = n.features, H = n.hidden;
  const char* what = "weights of another shape than the inputs and the width ask for";
  const auto kind = static_cast<CellKind>(cell);
  const int64_t first = n_widths(kind) * H;
  call.expect_shape(weights[0], {kind == CellKind::kGruAfter ? D : D + H, first}, what);
  call.expect_shape(weights[1], {first}, what);
  if (kind == CellKind::kGruAfter) {
    call.expect_shape(weights[2], {H, first}, what);
    call.expect_shape(weights[3], {H}, what);
  } else if (kind == CellKind::kGru) {
    call.expect_shape(weights[2], {D + H, H}, what);
    call.expect_shape(weights[3], {H}, what);
  }
}

std::vector<float*> pointers(const std::vector<PerTrial>& arrays, int64_t k, const Shape& trials) {
  std::vector<float*> found;
  for (const PerTrial& array : arrays) found.push_back(array.of(k, trials));
  return found;
}

// (*weights, inputs (B, T, D)) -> output (B, T, H) or (B, H), rows, kept, workspace.
ffi::Error recurrent_forward(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets,
                             int64_t cell, int64_t hidden, bool every, bool bfloat16, bool keeps) {
  const RecurrentKernels& kernels = kernels_of(bfloat16);
  Call call(args, rets);
  const auto kind = static_cast<CellKind>(cell);
  auto weights = weights_of(call, cell, false);
  auto inputs = call.arg(n_weights(cell), 3);
  auto output = call.ret(0, every ? 3 : 2);
  auto rows = call.ret(1, 1), kept = call.ret(2, 1), workspace = call.ret(3, 1);
  if (call.failed()) return call.error();
  const RecurrentSizes n = {inputs.own[1], inputs.own[0], inputs.own[2], hidden, every};
  const RecurrentWorkspace need = kernels.workspace(kind, n, keeps);
  const Shape trials = output.lead;
  expect_weights(call, weights, cell, n);
  call.expect(output.own_size == n.batch * hidden * (every ? n.steps : 1),
              "output of another size");
  call.expect(rows.own_size == need.rows && kept.own_size == need.kept &&
                  workspace.own_size == need.forward,
              "workspace of another size");
  for (const auto* each : {&inputs, &rows, &kept, &workspace}) call.expect_trials(*each, trials);
  for (const auto& each : weights) call.expect_trials(each, trials);
  if (call.failed()) return call.error();
  for_trials(pool, trials.product(), [&](int64_t k) {
    kernels.forward(kind, n, pointers(weights, k, trials).data(), inputs.of(k, trials), keeps,
                    output.of(k, trials), rows.of(k, trials), kept.of(k, trials),
                    workspace.of(k, trials));
  });
  return ffi::Error::Success();
}

// (*weights, inputs, rows, kept, doutput) -> *dweights, dgates, workspace. Of the inputs only the
// shape is read: their gradient is a call of its own, which is left out where nobody needs it.
ffi::Error recurrent_backward(ffi::ThreadPool pool, ffi::RemainingArgs args,
                              ffi::RemainingRets rets, int64_t cell, int64_t hidden, bool every,
                              bool bfloat16) {
  const RecurrentKernels& kernels = kernels_of(bfloat16);
  Call call(args, rets);
  const auto kind = static_cast<CellKind>(cell);
  const size_t first = n_weights(cell);
  auto weights = weights_of(call, cell, false), dweights = weights_of(call, cell, true);
  auto inputs = call.arg(first, 3), rows = call.arg(first + 1, 1), kept = call.arg(first + 2, 1);
  auto doutput = call.arg(first + 3, every ? 3 : 2);
  auto dgates = call.ret(first, 1), workspace = call.ret(first + 1, 1);
  if (call.failed()) return call.error();
  const RecurrentSizes n = {inputs.own[1], inputs.own[0], inputs.own[2], hidden, every};
  const RecurrentWorkspace need = kernels.workspace(kind, n, true);
  const Shape trials = dgates.lead;
  expect_weights(call, weights, cell, n);
  expect_weights(call, dweights, cell, n);
  call.expect(doutput.own_size == n.batch * hidden * (every ? n.steps : 1),
              "gradient of another size than the output");
  call.expect(rows.own_size == need.rows && kept.own_size == need.kept &&
                  dgates.own_size == need.dgates && workspace.own_size == need.backward,
              "workspace of another size");
  for (const auto* each : {&inputs, &rows, &kept, &doutput, &workspace}) {
    call.expect_trials(*each, trials);
  }
  for (const auto& each : weights) call.expect_trials(each, trials);
  for (const auto& each : dweights) call.expect(each.lead == trials, "gradients are shared");
  if (call.failed()) return call.error();
  for_trials(pool, trials.product(), [&](int64_t k) {
    kernels.backward(kind, n, pointers(weights, k, trials).data(), rows.of(k, trials),
                     kept.of(k, trials), doutput.of(k, trials),
                     pointers(dweights, k, trials).data(), dgates.of(k, trials),
                     workspace.of(k, trials));
  });
  return ffi::Error::Success();
}

// (*weights, dgates) -> dinputs (B, T, D), workspace.
ffi::Error recurrent_inputs(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets,
                            int64_t cell, int64_t hidden, bool bfloat16) {
  const RecurrentKernels& kernels = kernels_of(bfloat16);
  Call call(args, rets);
  const auto kind = static_cast<CellKind>(cell);
  auto weights = weights_of(call, cell, false);
  auto dgates = call.arg(n_weights(cell), 1);
  auto dinputs = call.ret(0, 3), workspace = call.ret(1, 1);
  if (call.failed()) return call.error();
  const Shape& of = dinputs.own;
  const RecurrentSizes n = {of[1], of[0], of[2], hidden, false};
  const RecurrentWorkspace need = kernels.workspace(kind, n, true);
  const Shape trials = dinputs.lead;
  expect_weights(call, weights, cell, n);
  call.expect(dgates.own_size == need.dgates && workspace.own_size == need.inputs,
              "workspace of another size");
  for (const auto* each : {&dgates, &workspace}) call.expect_trials(*each, trials);
  for (const auto& each : weights) call.expect_trials(each, trials);
  if (call.failed()) return call.error();
  for_trials(pool, trials.product(), [&](int64_t k) {
    kernels.inputs(kind, n, pointers(weights, k, trials).data(), dgates.of(k, trials),
                   dinputs.of(k, trials), workspace.of(k, trials));
  });
  return ffi::Error::Success();
}

}  // namespace
}  // namespace gridscape

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(gridscape_recurrent_forward, gridscape::recurrent_forward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<int64_t>("cell")
                                  .Attr<int64_t>("hidden")
                                  .Attr<bool>("every")
                                  .Attr<bool>("bfloat16")
                                  .Attr<bool>("keeps"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(gridscape_recurrent_backward, gridscape::recurrent_backward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<int64_t>("cell")
                                  .Attr<int64_t>("hidden")
                                  .Attr<bool>("every")
                                  .Attr<bool>("bfloat16"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(gridscape_recurrent_inputs, gridscape::recurrent_inputs,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<int64_t>("cell")
                                  .Attr<int64_t>("hidden")
                                  .Attr<bool>("bfloat16"));

// Into `workspace`: the fields of RecurrentWorkspace.
extern "C" void gridscape_recurrent_workspace(int64_t cell, int64_t steps, int64_t batch,
                                              int64_t features, int64_t hidden, bool every,
                                              bool bfloat16, bool keeps, int64_t* workspace) {
  const auto found = gridscape::kernels_of(bfloat16).workspace(
      static_cast<gridscape::CellKind>(cell), {steps, batch, features, hidden, every}, keeps);
  std::memcpy(workspace, &found, sizeof(found));
}
