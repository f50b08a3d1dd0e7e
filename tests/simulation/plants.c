#include "tests/simulation/plants.h"
const struct plant plants[] = {{"none", "", CHECK_NONE, supervision_step}};
const size_t plant_count = 0;
