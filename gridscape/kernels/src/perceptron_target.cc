// Perceptrons for one instruction set: compiled once for each, GRIDSCAPE_TARGET is its name.

#include "perceptron.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

extern const PerceptronKernels kPerceptron;
const PerceptronKernels kPerceptron = {perceptron_workspace, take, gradient};

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape
