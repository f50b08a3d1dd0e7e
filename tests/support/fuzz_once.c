/* Runs a fuzz target without a fuzzer, so that every test run exercises it a little: the files it is given,
 * then pieces of them cut, joined and damaged by a seeded generator. Prints TAP.
 *
 *   TARGET_fuzz [--seed N] [--rounds N] FILE... */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX 4096
#define FILES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	uint8_t *bytes;
	size_t length;
} files[FILES_MAX];
static size_t file_count;

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void add_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	size_t room = 1 << 20;

	if (file == NULL || file_count == FILES_MAX)
		return;
	files[file_count].bytes = malloc(room);
	files[file_count].length = fread(files[file_count].bytes, 1, room, file);
	file_count++;
	fclose(file);
}

static size_t add_piece(uint8_t *input, size_t length, uint64_t *state)
{
	static const char spice[] = "\r\n\r\n\t\033[;]\007:-,.0123456789\xff\xc3 \"{}";
	size_t room = INPUT_MAX - length, wanted = next(state) % 200;

	wanted = wanted < room ? wanted : room;
	if (file_count == 0 || next(state) % 4 == 0) {
		for (size_t i = 0; i < wanted; i++)
			input[length + i] = (uint8_t)spice[next(state) % sizeof(spice)];
		return length + wanted;
	}
	size_t which = next(state) % file_count;

	if (files[which].length < wanted + 1)
		wanted = files[which].length;
	memcpy(input + length, files[which].bytes + next(state) % (files[which].length - wanted + 1), wanted);
	return length + wanted;
}

int main(int argc, char **argv)
{
	uint64_t seed = 88172645463325252u, rounds = 20000, state;
	static uint8_t scratch[INPUT_MAX];

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 10) | 1;
		else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
			rounds = strtoull(argv[++i], NULL, 10);
		else
			add_file(argv[i]);
	}
	printf("1..1\n# seed %" PRIu64 ", %zu files, %" PRIu64 " rounds\n", seed, file_count, rounds);
	fflush(stdout);
	for (size_t i = 0; i < file_count; i++)
		LLVMFuzzerTestOneInput(files[i].bytes, files[i].length);
	state = seed;
	for (uint64_t round = 0; round < rounds; round++) {
		size_t length = 0;
		uint8_t *exact;

		for (uint64_t pieces = next(&state) % 8; pieces > 0; pieces--)
			length = add_piece(scratch, length, &state);
		if (length > 0)
			scratch[next(&state) % length] ^= (uint8_t)(1u << next(&state) % 8);
		/* Of its exact size, so that a byte read too many is seen. */
		exact = malloc(length + (length == 0));
		memcpy(exact, scratch, length);
		LLVMFuzzerTestOneInput(exact, length);
		free(exact);
	}
	printf("ok 1 - nothing broke\n");
	return 0;
}
