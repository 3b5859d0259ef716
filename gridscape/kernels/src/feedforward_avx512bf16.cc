// Feed-forward layers whose products have operands of bfloat16: only where instructions multiply
// them. Elsewhere rounded operands in products of float32 are faster.

#include "feedforward.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

extern const FeedforwardKernels kFeedforwardBfloat16;
const FeedforwardKernels kFeedforwardBfloat16 = kFeedforwardTable<Bfloat16>;

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape
