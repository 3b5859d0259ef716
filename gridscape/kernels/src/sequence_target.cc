// Small recurrent networks as a whole for one instruction set: compiled for each, GRIDSCAPE_TARGET
// is its name.

#include "sequence.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

extern const SequenceKernels kSequence;
const SequenceKernels kSequence = {has_sequence, sequence_workspace, sequence_gradient,
                                   outputs_workspace, sequence_outputs};

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape
