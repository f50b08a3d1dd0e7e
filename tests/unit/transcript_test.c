/* What the files of a session of OpenClaw 2026.2.1 say; the lines are of a real one, shortened. */
#include "support/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "sentry/transcript.h"

#define SESSION "9eca3e90-3d0e-4714-905e-f991628fc704"
#define FILES   "agents/main/sessions/" SESSION

#define SESSION_LINE "{\"type\":\"session\",\"version\":3,\"id\":\"" SESSION "\"}\n"
#define USER_LINE                                                                                            \
	"{\"type\":\"message\",\"id\":\"cf275402\",\"message\":{\"role\":\"user\",\"content\":[{\"type\":"   \
	"\"text\",\"text\":\"a \\\"toolCall\\\" please\"}]}}\n"
#define CALL(id, name)                                                                                       \
	"{\"type\":\"toolCall\",\"id\":\"" id "\",\"name\":\"" name "\",\"arguments\":{\"a\":[1]}}"
#define CALLS(calls, reason)                                                                                 \
	"{\"type\":\"message\",\"id\":\"6a16c7d5\",\"message\":{\"role\":\"assistant\",\"content\":[{"       \
	"\"type\":\"text\",\"text\":\"I will\"}," calls "],\"stopReason\":\"" reason "\"}}\n"
#define RESULT(id)                                                                                           \
	"{\"type\":\"message\",\"id\":\"78777115\",\"message\":{\"role\":\"toolResult\",\"toolCallId\":"     \
	"\"" id "\",\"toolName\":\"exec\",\"content\":[],\"isError\":false}}\n"
#define ANSWER                                                                                               \
	"{\"type\":\"message\",\"id\":\"f4542b39\",\"message\":{\"role\":\"assistant\",\"content\":[{"       \
	"\"type\":\"text\",\"text\":\"Done.\"}],\"stopReason\":\"stop\"}}\n"

static struct transcript transcript;
static char state[64];

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

static const char *at_home(const char *name)
{
	static char path[4][PATH_MAX];
	static int next;

	next = (next + 1) % 4;
	snprintf(path[next], PATH_MAX, "%s/%s", state, name);
	return path[next];
}

static void write_file(const char *name, const char *text, size_t length, int flags)
{
	int fd = open(at_home(name), O_WRONLY | O_CREAT | flags, 0600);

	if (fd < 0 || write(fd, text, length) != (ssize_t)length)
		abort();
	close(fd);
}

static void given_a_state_directory(void)
{
	memcpy(state, "/tmp/holdfast-transcript-XXXXXX", sizeof("/tmp/holdfast-transcript-XXXXXX"));
	if (mkdtemp(state) == NULL || mkdir(at_home("agents"), 0700) < 0 ||
	    mkdir(at_home("agents/main"), 0700) < 0 || mkdir(at_home("agents/main/sessions"), 0700) < 0)
		abort();
}

static void given_the_transcript(const char *text)
{
	write_file(FILES ".jsonl", text, strlen(text), O_TRUNC);
}

static void given_a_lock_of(int pid)
{
	char text[96];

	snprintf(
	    text, sizeof(text), "{\n  \"pid\": %d,\n  \"createdAt\": \"2026-11-30T21:22:04.000Z\"\n}", pid);
	write_file(FILES ".jsonl.lock", text, strlen(text), O_TRUNC);
}

/* The cheap look at the lock says the same. */
static int read_it(void)
{
	int result;

	memset(&transcript, 0xa5, sizeof(transcript));
	result = transcript_read(state, "main", SESSION, getpid(), &transcript);
	if (result == 0)
		CHECK(transcript_is_locked(state, "main", SESSION, getpid()) == transcript.is_locked);
	return result;
}

static bool is_nothing(void)
{
	return !transcript.is_locked && !transcript.exists && transcript.locked_ms == 0 &&
	       transcript.changed_ms == 0 && transcript.bytes == 0 &&
	       transcript.waits == TRANSCRIPT_UNKNOWN && transcript.tool[0] == '\0';
}

static void finish(void)
{
	nftw(state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static enum transcript_waits waits(const char *text)
{
	memset(&transcript, 0xa5, sizeof(transcript));
	transcript_judge(text, strlen(text), true, &transcript);
	return transcript.waits;
}

TEST("a call whose result is not there is a tool at work, and has a name")
{
	CHECK(waits(SESSION_LINE USER_LINE CALLS(CALL("call_1", "exec"), "toolUse")) == TRANSCRIPT_TOOL);
	CHECK_TEXT(transcript.tool, "exec");
}

TEST("a result, an answer, what a person said and all other lines: the model's turn, or nobody's")
{
	CHECK(waits(USER_LINE CALLS(CALL("c", "exec"), "toolUse") RESULT("c")) == TRANSCRIPT_MODEL);
	CHECK_TEXT(transcript.tool, "");
	CHECK(waits(CALLS(CALL("c", "exec"), "toolUse") RESULT("c") ANSWER) == TRANSCRIPT_MODEL);
	CHECK(waits(CALLS(CALL("c", "exec"), "toolUse") USER_LINE) == TRANSCRIPT_MODEL);
	CHECK(waits(SESSION_LINE) == TRANSCRIPT_MODEL);
	CHECK(waits(RESULT("c")) == TRANSCRIPT_MODEL);
}

TEST("of several calls the first without a result is at work, in whatever order the results are")
{
	static const char calls[] =
	    CALLS(CALL("a", "read") "," CALL("b", "exec") "," CALL("c", "web"), "toolUse");
	char text[4096];

	snprintf(text, sizeof(text), "%s%s", calls, RESULT("a"));
	CHECK(waits(text) == TRANSCRIPT_TOOL);
	CHECK_TEXT(transcript.tool, "exec");
	snprintf(text, sizeof(text), "%s%s%s", calls, RESULT("b"), RESULT("a"));
	CHECK(waits(text) == TRANSCRIPT_TOOL);
	CHECK_TEXT(transcript.tool, "web");
	snprintf(text, sizeof(text), "%s%s%s%s", calls, RESULT("c"), RESULT("b"), RESULT("a"));
	CHECK(waits(text) == TRANSCRIPT_MODEL);
}

TEST("calls of a message that broke off are never made")
{
	CHECK(waits(CALLS(CALL("c", "exec"), "aborted")) == TRANSCRIPT_MODEL);
	CHECK(waits(CALLS(CALL("c", "exec"), "error")) == TRANSCRIPT_MODEL);
	CHECK_TEXT(transcript.tool, "");
}

TEST("a line that is not finished does not count")
{
	CHECK(waits(USER_LINE "{\"type\":\"message\",\"mess") == TRANSCRIPT_MODEL);
	CHECK(waits(CALLS(CALL("c", "exec"), "toolUse") "{\"type\":\"mess") == TRANSCRIPT_TOOL);
	CHECK(waits("{\"type\":\"session\"}") == TRANSCRIPT_UNKNOWN);
	CHECK(waits("") == TRANSCRIPT_UNKNOWN);
}

TEST("what is no JSON object, and JSON5, is not known")
{
	CHECK(waits(USER_LINE "garbage\n") == TRANSCRIPT_UNKNOWN);
	CHECK(waits(USER_LINE "{type:'message'}\n") == TRANSCRIPT_UNKNOWN);
	CHECK(waits(USER_LINE "[]\n") == TRANSCRIPT_UNKNOWN);
	CHECK(waits(USER_LINE "\n") == TRANSCRIPT_UNKNOWN);
	CHECK(waits("garbage\n" RESULT("c")) == TRANSCRIPT_UNKNOWN);
	CHECK(waits("garbage\n" CALLS(CALL("c", "exec"), "toolUse")) == TRANSCRIPT_TOOL);
}

TEST("a tool's name is cut, and printable; the words of a text are no call")
{
	CHECK(waits(CALLS(CALL("c", "a\\u001b[31m\\u0000b \\u00fc"), "toolUse")) == TRANSCRIPT_TOOL);
	CHECK_TEXT(transcript.tool, "a?[31m?b???");
	CHECK(waits(CALLS(CALL("c", "0123456789012345678901234567890123456789"), "toolUse")) ==
	      TRANSCRIPT_TOOL);
	CHECK_TEXT(transcript.tool, "0123456789012345678901234567890");
	CHECK(waits(CALLS("{\"type\":\"toolCall\",\"name\":7}", "toolUse")) == TRANSCRIPT_TOOL);
	CHECK_TEXT(transcript.tool, "");
	CHECK(waits(CALLS("{\"type\":\"text\",\"text\":\""
	                  "{\\\"type\\\":\\\"toolCall\\\"}"
	                  "\"}",
	          "stop")) == TRANSCRIPT_MODEL);
}

TEST("a window that begins within the line, or before the call of a result, says nothing")
{
	static const char call[] = CALLS(CALL("a", "read") "," CALL("b", "exec"), "toolUse");
	static const char both[] = CALLS(CALL("a", "read") "," CALL("b", "exec"), "toolUse") RESULT("a");

	transcript_judge(call, sizeof(call) - 1, false, &transcript);
	CHECK(transcript.waits == TRANSCRIPT_UNKNOWN);
	transcript_judge(both, sizeof(both) - 1, false, &transcript);
	CHECK(transcript.waits == TRANSCRIPT_UNKNOWN);
	transcript_judge(both, sizeof(both) - 1, true, &transcript);
	CHECK(transcript.waits == TRANSCRIPT_TOOL);
}

TEST("the agent is in the key, in lower case; a key without one is of main; what cannot be in a path is "
     "refused")
{
	char agent[TRANSCRIPT_AGENT_MAX], key[128];

	CHECK(transcript_agent("agent:Work_2:telegram:1", agent));
	CHECK_TEXT(agent, "work_2");
	CHECK(transcript_agent("main", agent));
	CHECK_TEXT(agent, "main");
	CHECK(transcript_agent("agentx:y:z", agent));
	CHECK_TEXT(agent, "main");
	CHECK(!transcript_agent("agent::x", agent));
	CHECK(!transcript_agent("agent:../..:x", agent));
	CHECK(!transcript_agent("agent:a/b:x", agent));
	CHECK(!transcript_agent("agent:main", agent));
	CHECK(!transcript_agent("agent:", agent));
	memset(key, 'a', sizeof(key));
	memcpy(key, "agent:", 6);
	memcpy(key + 6 + 64, ":x", 3);
	CHECK(transcript_agent(key, agent) && strlen(agent) == 64);
	memcpy(key + 6 + 64, "a:x", 4);
	CHECK(!transcript_agent(key, agent));
}

TEST("an id that is none goes into no path")
{
	static const char *const bad[] = {"", "../../../../../../etc/passwd",
	    "9eca3e90-3d0e-4714-905e-f991628fc704x", "9ECA3E90-3D0E-4714-905E-F991628FC704",
	    "9eca3e90-3d0e-4714-905e-f991628fc70", "9eca3e90/3d0e-4714-905e-f991628fc704"};

	given_a_state_directory();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(
		    transcript_read(state, "main", bad[i], getpid(), &transcript) == -EINVAL && is_nothing());
	CHECK(transcript_read(state, "..", SESSION, getpid(), &transcript) == -EINVAL);
	CHECK(transcript_read(state, "", SESSION, getpid(), &transcript) == -EINVAL);
	CHECK(transcript_read("", "main", SESSION, getpid(), &transcript) == -EINVAL);
	CHECK(!transcript_is_locked(state, "..", SESSION, getpid()));
	CHECK(!transcript_is_locked("", "main", SESSION, getpid()));
	finish();
}

TEST("a session that was never written is there in nothing, and that is no fault")
{
	given_a_state_directory();
	CHECK(read_it() == 0 && is_nothing());
	CHECK(transcript_read(state, "other", SESSION, getpid(), &transcript) == 0 && is_nothing());
	finish();
}

TEST("size and time of a transcript are its file's, and growth shows")
{
	struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1796073724, .tv_nsec = 612000000}};

	given_a_state_directory();
	given_the_transcript(SESSION_LINE);
	CHECK(utimensat(AT_FDCWD, at_home(FILES ".jsonl"), times, 0) == 0);
	CHECK(read_it() == 0 && transcript.exists && !transcript.is_locked && transcript.locked_ms == 0);
	CHECK(transcript.bytes == strlen(SESSION_LINE) && transcript.changed_ms == INT64_C(1796073724612));
	CHECK(transcript.waits == TRANSCRIPT_MODEL);
	write_file(FILES ".jsonl", CALLS(CALL("c", "exec"), "toolUse"),
	    strlen(CALLS(CALL("c", "exec"), "toolUse")), O_APPEND);
	CHECK(read_it() == 0 && transcript.bytes > strlen(SESSION_LINE));
	CHECK(transcript.waits == TRANSCRIPT_TOOL);
	finish();
}

TEST("the lock is the gateway's when it names it; a run begins with it before there is a transcript")
{
	given_a_state_directory();
	given_a_lock_of(getpid());
	CHECK(read_it() == 0 && transcript.is_locked && !transcript.exists);
	CHECK(transcript.locked_ms > clock_real_ms() - 60000 && transcript.locked_ms <= clock_real_ms());
	given_a_lock_of(getpid() + 1);
	CHECK(read_it() == 0 && !transcript.is_locked);
	write_file(FILES ".jsonl.lock", "", 0, O_TRUNC);
	CHECK(read_it() == 0 && !transcript.is_locked);
	finish();
}

TEST("a lock of an earlier gateway that had the same pid is none")
{
	struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};

	given_a_state_directory();
	given_a_lock_of(getpid());
	CHECK(utimensat(AT_FDCWD, at_home(FILES ".jsonl.lock"), times, 0) == 0);
	CHECK(read_it() == 0 && !transcript.is_locked && transcript.locked_ms == 0);
	finish();
}

TEST("a lock of a process that is gone is none")
{
	siginfo_t info;
	pid_t child;

	given_a_state_directory();
	child = fork();
	if (child == 0)
		_exit(0);
	waitid(P_PID, (id_t)child, &info, WEXITED);
	given_a_lock_of(child);
	CHECK(transcript_read(state, "main", SESSION, child, &transcript) == 0 && !transcript.is_locked);
	finish();
}

TEST("a lock is read strictly")
{
	CHECK(transcript_lock_names("{\"pid\":7}", 9, 7));
	CHECK(!transcript_lock_names("{\"pid\":\"7\"}", 11, 7));
	CHECK(!transcript_lock_names("{\"pid\":7.5}", 11, 7));
	CHECK(!transcript_lock_names("{\"pid\":7", 8, 7));
	CHECK(!transcript_lock_names("[7]", 3, 7));
	CHECK(!transcript_lock_names("", 0, 7));
}

TEST("links, FIFOs and directories in the place of the files are not read")
{
	given_a_state_directory();
	write_file("elsewhere", SESSION_LINE, strlen(SESSION_LINE), 0);
	CHECK(symlink(at_home("elsewhere"), at_home(FILES ".jsonl")) == 0);
	given_a_lock_of(getpid());
	CHECK(rename(at_home(FILES ".jsonl.lock"), at_home("lock")) == 0);
	CHECK(symlink(at_home("lock"), at_home(FILES ".jsonl.lock")) == 0);
	CHECK(read_it() == 0 && is_nothing());
	unlink(at_home(FILES ".jsonl"));
	CHECK(mkfifo(at_home(FILES ".jsonl"), 0600) == 0);
	CHECK(read_it() == 0 && is_nothing());
	unlink(at_home(FILES ".jsonl"));
	CHECK(mkdir(at_home(FILES ".jsonl"), 0700) == 0);
	CHECK(read_it() == 0 && is_nothing());
	finish();
}

TEST("files of another user are not read")
{
	if (geteuid() != 0) {
		SKIP("needs root");
		return;
	}
	given_a_state_directory();
	given_the_transcript(SESSION_LINE);
	given_a_lock_of(getpid());
	CHECK(chown(at_home(FILES ".jsonl"), 12345, 0) == 0 &&
	      chown(at_home(FILES ".jsonl.lock"), 12345, 0) == 0);
	CHECK(read_it() == 0 && is_nothing());
	finish();
}

/* A line of exactly so many bytes, its end included. */
static char *long_line(size_t bytes)
{
	static const char start[] = "{\"type\":\"session\",\"x\":\"";
	char *line = malloc(bytes + 1);

	if (line == NULL)
		abort();
	memset(line, 'x', bytes);
	memcpy(line, start, sizeof(start) - 1);
	memcpy(line + bytes - 3, "\"}\n", 4);
	return line;
}

TEST("a last line that fits into the window is read, however long the file; a longer one is not known")
{
	const size_t window = TRANSCRIPT_TAIL_BYTES;

	for (size_t bytes = window - 1; bytes <= window; bytes++) {
		char *line = long_line(bytes);

		given_a_state_directory();
		given_the_transcript(SESSION_LINE);
		write_file(FILES ".jsonl", line, bytes, O_APPEND);
		CHECK(read_it() == 0 && transcript.bytes == strlen(SESSION_LINE) + bytes);
		CHECK(transcript.waits == (bytes < window ? TRANSCRIPT_MODEL : TRANSCRIPT_UNKNOWN));
		free(line);
		finish();
	}
}

TEST("a line with more values than there is room for is not known")
{
	size_t length = 0, size = 200000;
	char *text = malloc(size);

	length += (size_t)snprintf(text, size, "{\"type\":\"x\",\"list\":[");
	while (length < size - 10) {
		memcpy(text + length, "1,", 2);
		length += 2;
	}
	memcpy(text + length, "1]}\n", 5);
	CHECK(waits(text) == TRANSCRIPT_UNKNOWN);
	free(text);
}
