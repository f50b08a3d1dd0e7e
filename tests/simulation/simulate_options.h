/* What the programs that simulate one part of the core are asked for. */
#ifndef HOLDFAST_TESTS_SIMULATION_SIMULATE_OPTIONS_H
#define HOLDFAST_TESTS_SIMULATION_SIMULATE_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct simulate_options {
	uint64_t seed, steps;
	const char *plant; /* its name; NULL: none */
	bool trace;
};

/* [--seed N] [--steps N] [--plant NAME] [--trace]. Returns false on wrong usage. */
static inline bool simulate_options_read(int count, char **arguments, struct simulate_options *options)
{
	static const struct option known[] = {{"seed", required_argument, NULL, 's'},
	    {"steps", required_argument, NULL, 'n'}, {"plant", required_argument, NULL, 'p'},
	    {"trace", no_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
	int option;

	*options = (struct simulate_options){.seed = 1, .steps = 1000000};
	while ((option = getopt_long(count, arguments, "", known, NULL)) != -1) {
		if (option == 's' && text_to_u64(optarg, UINT64_MAX, &options->seed) == 0)
			continue;
		if (option == 'n' && text_to_u64(optarg, UINT64_MAX, &options->steps) == 0)
			continue;
		if (option == 'p')
			options->plant = optarg;
		else if (option == 't')
			options->trace = true;
		else
			return false;
	}
	return true;
}

#endif
