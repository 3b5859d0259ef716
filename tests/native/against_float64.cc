// Layers of every instruction set beside the same sums in float64: for processors on which JAX is
// not at hand, as Arm's under an emulator.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

#include "dispatch.h"

extern "C" const char* gridscape_targets();
extern "C" bool gridscape_use(const char* name);

using namespace gridscape;

namespace {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

// float32 has a relative precision of 6e-8; sums of a few hundred terms lose a digit or two.
constexpr double kTolerance = 1e-5;
double worst;

uint32_t state = 1;

Floats numbers(int64_t count) {
  Floats made(count);
  for (float& x : made) {
    state = state * 1664525u + 1013904223u;
    x = static_cast<float>(state >> 8) / (1 << 24) - 0.5f;
  }
  return made;
}

// The largest difference as a fraction of the largest number that is expected.
void compare(const Floats& found, const Doubles& expected) {
  double difference = 0, largest = 0;
  for (size_t k = 0; k < expected.size(); ++k) {
    difference = std::max(difference, std::fabs(found[k] - expected[k]));
    largest = std::max(largest, std::fabs(expected[k]));
  }
  const double error = difference / largest;
  worst = std::isnan(error) ? INFINITY : std::max(worst, error);
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// y = tanh(x W + b), and the gradients by W, b and x.
void check_dense(const DenseSizes& n) {
  const FeedforwardKernels& kernels = *chosen().feedforward;
  const DenseWorkspace need = kernels.dense_workspace(n);
  const Floats x = numbers(n.batch * n.inputs), kernel = numbers(n.inputs * n.outputs);
  const Floats bias = numbers(n.outputs), dy = numbers(n.batch * n.outputs);
  Floats y(dy.size()), dz(dy.size()), dx(x.size()), dkernel(kernel.size()), dbias(bias.size());
  Floats forward(need.forward), weights(need.weights), inputs(need.inputs);
  kernels.dense_forward(n, Activation::kTanh, x.data(), kernel.data(), bias.data(), y.data(),
                        forward.data());
  kernels.dense_weights(n, Activation::kTanh, x.data(), y.data(), dy.data(), dkernel.data(),
                        dbias.data(), dz.data(), weights.data());
  kernels.dense_inputs(n, kernel.data(), dz.data(), dx.data(), inputs.data());

  Doubles y64(y.size()), dkernel64(kernel.size()), dbias64(bias.size()), dx64(x.size());
  for (int64_t b = 0; b < n.batch; ++b) {
    for (int64_t o = 0; o < n.outputs; ++o) {
      double sum = bias[o];
      for (int64_t i = 0; i < n.inputs; ++i) {
        sum += double(x[b * n.inputs + i]) * kernel[i * n.outputs + o];
      }
      const double value = y64[b * n.outputs + o] = std::tanh(sum);
      const double slope = dy[b * n.outputs + o] * (1 - value * value);
      dbias64[o] += slope;
      for (int64_t i = 0; i < n.inputs; ++i) {
        dkernel64[i * n.outputs + o] += slope * x[b * n.inputs + i];
        dx64[b * n.inputs + i] += slope * kernel[i * n.outputs + o];
      }
    }
  }
  compare(y, y64), compare(dkernel, dkernel64), compare(dbias, dbias64), compare(dx, dx64);
}

// The squared error of tanh(x V) w, its mean over examples, and the gradients by V and w.
void check_perceptron(int64_t batch, int64_t I, int64_t H) {
  const PerceptronKernels& kernels = *chosen().perceptron;
  const PerceptronSizes n = {
      batch, 2, {I, H, 1}, {Activation::kTanh, Activation::kLinear}, LossKind::kSquaredError};
  const Floats x = numbers(batch * I), targets = numbers(batch), V = numbers(I * H), w = numbers(H);
  Floats dV(V.size()), dw(w.size()), workspace(kernels.workspace(n));
  const PerceptronLayer layers[] = {{V.data(), nullptr, dV.data(), nullptr},
                                    {w.data(), nullptr, dw.data(), nullptr}};
  kernels.take(n, x.data(), targets.data(), nullptr, workspace.data());
  const Floats loss = {kernels.gradient(n, layers, nullptr, workspace.data())};
  Doubles loss64(1), dV64(V.size()), dw64(w.size()), h(H);
  for (int64_t b = 0; b < batch; ++b) {
    double error = -targets[b];
    for (int64_t u = 0; u < H; ++u) {
      double sum = 0;
      for (int64_t i = 0; i < I; ++i) sum += double(x[b * I + i]) * V[i * H + u];
      h[u] = std::tanh(sum);
      error += h[u] * w[u];
    }
    loss64[0] += error * error / batch;
    for (int64_t u = 0; u < H; ++u) {
      const double d = 2 * error / batch;
      dw64[u] += d * h[u];
      const double slope = d * w[u] * (1 - h[u] * h[u]);
      for (int64_t i = 0; i < I; ++i) dV64[i * H + u] += slope * x[b * I + i];
    }
  }
  compare(loss, loss64), compare(dV, dV64), compare(dw, dw64);
}

// A convolution with zeros around the images, then ReLU where it is pooled; here it is not.
void check_conv(const ConvSizes& n) {
  const FeedforwardKernels& kernels = *chosen().feedforward;
  const ConvWorkspace need = kernels.conv_workspace(n, false);
  const Floats images = numbers(n.batch * n.height * n.width * n.channels);
  const Floats kernel = numbers(n.rows * n.columns * n.channels * n.filters);
  const Floats bias = numbers(n.filters);
  Floats y(n.batch * n.height * n.width * n.filters), workspace(need.forward);
  kernels.conv_forward(n, images.data(), kernel.data(), bias.data(), y.data(), nullptr,
                       workspace.data());
  Doubles y64(y.size());
  const int64_t top = (n.rows - 1) / 2, left = (n.columns - 1) / 2;
  for (int64_t at = 0; at < static_cast<int64_t>(y.size()); ++at) {
    const int64_t f = at % n.filters, w = at / n.filters % n.width;
    const int64_t h = at / n.filters / n.width % n.height, b = at / n.filters / n.width / n.height;
    double sum = bias[f];
    for (int64_t r = 0; r < n.rows; ++r) {
      for (int64_t c = 0; c < n.columns; ++c) {
        const int64_t row = h + r - top, column = w + c - left;
        if (row < 0 || row >= n.height || column < 0 || column >= n.width) continue;
        for (int64_t k = 0; k < n.channels; ++k) {
          sum += double(images[((b * n.height + row) * n.width + column) * n.channels + k]) *
                 kernel[((r * n.columns + c) * n.channels + k) * n.filters + f];
        }
      }
    }
    y64[at] = sum;
  }
  compare(y, y64);
}

// The last states of a plain recurrent layer, or of an LSTM.
void check_recurrent(CellKind cell, const RecurrentSizes& n) {
  const bool is_lstm = cell == CellKind::kLstm;
  const int64_t D = n.features, H = n.hidden, G = (is_lstm ? 4 : 1) * H;
  const Floats kernel = numbers((D + H) * G), bias = numbers(G);
  const Floats inputs = numbers(n.batch * n.steps * D);
  const float* weights[] = {kernel.data(), bias.data()};
  const RecurrentKernels& kernels = *chosen().recurrent;
  const RecurrentWorkspace need = kernels.workspace(cell, n, false);
  Floats output(n.batch * H), rows(need.rows), kept(need.kept), workspace(need.forward);
  kernels.forward(cell, n, weights, inputs.data(), false, output.data(), rows.data(), kept.data(),
                  workspace.data());
  Doubles output64;
  for (int64_t b = 0; b < n.batch; ++b) {
    Doubles h(H), c(H);
    for (int64_t t = 0; t < n.steps; ++t) {
      Doubles gates(bias.begin(), bias.end());
      for (int64_t g = 0; g < G; ++g) {
        for (int64_t d = 0; d < D; ++d) {
          gates[g] += double(inputs[(b * n.steps + t) * D + d]) * kernel[d * G + g];
        }
        for (int64_t k = 0; k < H; ++k) gates[g] += h[k] * kernel[(D + k) * G + g];
      }
      for (int64_t k = 0; k < H; ++k) {
        if (is_lstm) {
          c[k] = sigmoid(gates[2 * H + k]) * c[k] + sigmoid(gates[k]) * std::tanh(gates[H + k]);
          h[k] = sigmoid(gates[3 * H + k]) * std::tanh(c[k]);
        } else {
          h[k] = std::tanh(gates[k]);
        }
      }
    }
    output64.insert(output64.end(), h.begin(), h.end());
  }
  compare(output, output64);
}

}  // namespace

int main() {
  std::istringstream targets(gridscape_targets());
  bool is_right = true;
  for (std::string target; std::getline(targets, target, ',');) {
    if (!gridscape_use(target.c_str())) return 1;
    worst = 0;
    for (const DenseSizes& n : {DenseSizes{3, 5, 10}, {30, 97, 32}, {65, 20, 65}, {16, 256, 16}}) {
      check_dense(n);
    }
    check_perceptron(272, 16, 16), check_perceptron(37, 3, 21), check_perceptron(1, 1, 1);
    for (const ConvSizes& n : {ConvSizes{2, 5, 7, 1, 3, 5, 5, false},
                               {3, 8, 8, 3, 32, 3, 3, false},
                               {2, 9, 6, 17, 20, 5, 5, false}}) {
      check_conv(n);
    }
    for (const CellKind cell : {CellKind::kRnn, CellKind::kLstm}) {
      for (const RecurrentSizes& n :
           {RecurrentSizes{8, 20, 8, 5, false}, {8, 20, 8, 16, false}, {5, 3, 28, 64, false}}) {
        check_recurrent(cell, n);
      }
    }
    std::printf("%s: at most %.1e of the largest number\n", target.c_str(), worst);
    is_right = is_right && worst <= kTolerance;
  }
  return is_right ? 0 : 1;
}
