// What Python and these sources share by position, with its names: Python has the same tables, and
// compares them when it loads the library (kernels/tables.py).

#include "feedforward_kernels.h"
#include "optimizers_kernels.h"
#include "perceptron_kernels.h"
#include "recurrent_kernels.h"
#include "sequence_kernels.h"

#define GRIDSCAPE_NAME(kind, name) " " name
#define GRIDSCAPE_COUNTED(kind, name, count) " " name "=" #count
#define GRIDSCAPE_FIELD(name) " " #name

// A table a line: its own name, then those of its entries.
extern "C" const char* gridscape_tables() {
  return "CELLS" GRIDSCAPE_CELLS(GRIDSCAPE_COUNTED)                          //
      "\nACTIVATIONS" GRIDSCAPE_ACTIVATIONS(GRIDSCAPE_NAME)                  //
      "\nRULES" GRIDSCAPE_RULES(GRIDSCAPE_COUNTED)                           //
      "\nNUMBERS" GRIDSCAPE_RULE_NUMBERS(GRIDSCAPE_FIELD)                    //
      "\nLOSSES" GRIDSCAPE_LOSSES(GRIDSCAPE_NAME)                            //
      "\nSEQUENCE_LOSSES" GRIDSCAPE_SEQUENCE_LOSSES(GRIDSCAPE_NAME)          //
      "\nBAD_QUANTITIES" GRIDSCAPE_BAD_QUANTITIES(GRIDSCAPE_NAME)            //
      "\nRecurrentWorkspace" GRIDSCAPE_RECURRENT_WORKSPACE(GRIDSCAPE_FIELD)  //
      "\nDenseWorkspace" GRIDSCAPE_DENSE_WORKSPACE(GRIDSCAPE_FIELD)          //
      "\nConvWorkspace" GRIDSCAPE_CONV_WORKSPACE(GRIDSCAPE_FIELD);
}
