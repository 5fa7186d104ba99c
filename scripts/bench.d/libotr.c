/*
 * The figures of libotr that scripts/bench sets beside those of otrpipe: both
 * ends in one process, through the interface that a chat program uses.
 *
 *   cc -O2 -o libotr libotr.c $(pkg-config --cflags --libs libotr) -lgcrypt
 *   ./libotr              every figure, in the form of Go's benchmarks
 *   ./libotr pipe BYTES   as much through two processes joined by a pipe
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gcrypt.h> /* libotr's headers need its types */
/* message.h leans on the others without including them. */
#include <libotr/proto.h>
#include <libotr/tlv.h>
#include <libotr/privkey.h>
#include <libotr/message.h>

#define PROTOCOL "bench"

/* How long one figure is measured for, in seconds. */
#define MEASURE 0.5

/* The texts that are measured. */
static const struct { size_t bytes; const char *name; } sizes[] = {
	{64, "64B"}, {1024, "1KiB"}, {16384, "16KiB"}, {65536, "64KiB"},
};

/* An end of the conversation, and what it has to say to the other. */
struct user {
	const char *name, *other;
	OtrlUserState state;
	char *queue[16];
	int queued;
	int secure;
	int proven;           /* SMP succeeded */
	ConnContext *context; /* the session */
};

static struct user alice = {.name = "alice", .other = "bob"};
static struct user bob = {.name = "bob", .other = "alice"};

static void die(const char *what)
{
	fprintf(stderr, "libotr: %s\n", what);
	exit(1);
}

/* ---- what libotr asks of a chat program ---- */

static OtrlPolicy on_policy(void *user, ConnContext *context)
{
	(void)user;
	(void)context;
	return OTRL_POLICY_ALLOW_V3 | OTRL_POLICY_REQUIRE_ENCRYPTION;
}

static int on_is_logged_in(void *user, const char *account, const char *protocol, const char *recipient)
{
	(void)user;
	(void)account;
	(void)protocol;
	(void)recipient;
	return 1;
}

static void on_inject(void *opaque, const char *account, const char *protocol, const char *recipient, const char *message)
{
	struct user *user = opaque;

	(void)account;
	(void)protocol;
	(void)recipient;
	if (user->queued == sizeof user->queue / sizeof user->queue[0])
		die("too many messages at once");
	user->queue[user->queued++] = strdup(message);
}

static void on_secure(void *opaque, ConnContext *context)
{
	struct user *user = opaque;

	user->secure = 1;
	user->context = context;
}

static const unsigned char secret[] = "our secret";

static void on_smp(void *opaque, OtrlSMPEvent event, ConnContext *context, unsigned short percent, char *question);

static void on_create_instag(void *opaque, const char *account, const char *protocol)
{
	struct user *user = opaque;
	FILE *nowhere = fopen("/dev/null", "w");

	if (!nowhere || otrl_instag_generate_FILEp(user->state, nowhere, account, protocol))
		die("no instance tag");
	fclose(nowhere);
}

static const OtrlMessageAppOps ops = {
	.policy = on_policy,
	.is_logged_in = on_is_logged_in,
	.inject_message = on_inject,
	.gone_secure = on_secure,
	.create_instag = on_create_instag,
	.handle_smp_event = on_smp,
};

static void on_smp(void *opaque, OtrlSMPEvent event, ConnContext *context, unsigned short percent, char *question)
{
	struct user *user = opaque;

	(void)percent;
	(void)question;
	if (event == OTRL_SMPEVENT_ASK_FOR_SECRET)
		otrl_message_respond_smp(user->state, &ops, user, context, secret, sizeof secret - 1);
	else if (event == OTRL_SMPEVENT_SUCCESS)
		user->proven = 1;
}

/* ---- the conversation ---- */

static void begin(struct user *user)
{
	FILE *key = tmpfile();

	user->state = otrl_userstate_create();
	if (!key || otrl_privkey_generate_FILEp(user->state, key, user->name, PROTOCOL))
		die("no key");
	fclose(key);
}

/* receive gives a message to a user; the answer says whether it was a text. */
static int receive(struct user *user, const char *message)
{
	char *text = NULL;
	OtrlTLV *tlvs = NULL;
	int internal = otrl_message_receiving(user->state, &ops, user, user->name, PROTOCOL, user->other,
		message, &text, &tlvs, NULL, NULL, NULL);

	otrl_tlv_free(tlvs);
	otrl_message_free(text);
	return !internal && text;
}

/* deliver carries what is queued to and fro until there is no more. */
static void deliver(void)
{
	while (alice.queued || bob.queued) {
		struct user *from = alice.queued ? &alice : &bob;
		struct user *to = from == &alice ? &bob : &alice;
		char *message = from->queue[0];

		memmove(from->queue, from->queue + 1, --from->queued * sizeof from->queue[0]);
		receive(to, message);
		free(message);
	}
}

static void exchange_keys(void)
{
	alice.secure = bob.secure = 0;
	/* A query is what makes libotr begin. */
	receive(&bob, "?OTRv3?");
	deliver();
	if (!alice.secure || !bob.secure)
		die("no session");
}

static void forget(struct user *user)
{
	otrl_context_forget_all(user->state);
}

static char *encrypt(struct user *user, const char *text)
{
	char *message = NULL;

	if (otrl_message_sending(user->state, &ops, user, user->name, PROTOCOL, user->other, OTRL_INSTAG_BEST,
		text, NULL, &message, OTRL_FRAGMENT_SEND_SKIP, NULL, NULL, NULL) || !message)
		die("cannot send");
	return message;
}

/* ---- the figures ---- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static char *text_of(size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		die("no memory");
	for (size_t i = 0; i < size; i++)
		text[i] = 'a' + i % 26;
	text[size] = 0;
	return text;
}

static void report(const char *what, const char *size, size_t bytes, long n, double seconds)
{
	printf("BenchmarkLibotr%s%s%s %ld %.0f ns/op", what, bytes ? "/" : "", size, n, seconds / n * 1e9);
	if (bytes)
		printf(" %.2f MB/s", bytes * n / seconds / 1e6);
	printf("\n");
	fflush(stdout);
}

static void measure_key_exchange(void)
{
	long n = 0;
	double seconds = 0;

	while (seconds < MEASURE) {
		forget(&alice);
		forget(&bob);
		double before = now();
		exchange_keys();
		seconds += now() - before;
		n++;
	}
	report("AKE", "", 0, n, seconds);
}

/* measure_messages measures sending, receiving, and the one after the other. */
static void measure_messages(size_t bytes, const char *size)
{
	enum { BATCH = 64 };
	char *text = text_of(bytes);
	char *messages[BATCH];
	long sent = 0;
	double sending = 0, receiving = 0;

	while (sending < MEASURE || receiving < MEASURE) {
		double before = now();
		for (int i = 0; i < BATCH; i++)
			messages[i] = encrypt(&alice, text);
		double between = now();
		for (int i = 0; i < BATCH; i++)
			if (!receive(&bob, messages[i]))
				die("cannot receive");
		receiving += now() - between;
		sending += between - before;
		sent += BATCH;
		for (int i = 0; i < BATCH; i++)
			otrl_message_free(messages[i]);
	}
	report("Send", size, bytes, sent, sending);
	report("Receive", size, bytes, sent, receiving);

	long n = 0;
	double before = now();
	while (now() - before < MEASURE) {
		char *message = encrypt(&alice, text);
		if (!receive(&bob, message))
			die("cannot receive");
		otrl_message_free(message);
		n++;
	}
	report("SendReceive", size, bytes, n, now() - before);
	free(text);
}

/* measure_ping_pong: each message answers the last, so that every one of them
 * changes the keys. */
static void measure_ping_pong(void)
{
	char *text = text_of(64);
	long n = 0;
	double before = now();

	while (now() - before < MEASURE) {
		struct user *from = n % 2 ? &bob : &alice;
		char *message = encrypt(from, text);
		if (!receive(from == &alice ? &bob : &alice, message))
			die("cannot receive");
		otrl_message_free(message);
		n++;
	}
	report("PingPong", "", 0, n, now() - before);
	free(text);
}

static void measure_smp(void)
{
	long n = 0;
	double before = now();

	while (now() - before < MEASURE) {
		alice.proven = bob.proven = 0;
		otrl_message_initiate_smp(alice.state, &ops, &alice, alice.context, secret, sizeof secret - 1);
		deliver();
		if (!alice.proven || !bob.proven)
			die("SMP failed");
		n++;
	}
	report("SMP", "", 0, n, now() - before);
}

/* measure_pipe: one process sends, another receives, lines in between. */
static void measure_pipe(long long bytes)
{
	enum { PIECE = 65536 };
	int pipe_ends[2];
	char *text = text_of(PIECE);

	if (pipe(pipe_ends))
		die("no pipe");
	double before = now();
	pid_t sender = fork();
	if (sender < 0)
		die("no process");
	if (sender == 0) {
		FILE *out = fdopen(pipe_ends[1], "w");
		close(pipe_ends[0]);
		for (long long left = bytes; left > 0; left -= PIECE) {
			if (left < PIECE)
				text[left] = 0;
			char *message = encrypt(&alice, text);
			if (fputs(message, out) < 0 || fputc('\n', out) < 0)
				_exit(1);
			otrl_message_free(message);
		}
		_exit(fclose(out) ? 1 : 0);
	}
	close(pipe_ends[1]);
	FILE *in = fdopen(pipe_ends[0], "r");
	char *line = NULL;
	size_t room = 0;
	ssize_t length;
	long n = 0;
	while ((length = getline(&line, &room, in)) > 0) {
		line[length - 1] = 0;
		if (!receive(&bob, line))
			die("cannot receive");
		n++;
	}
	int status;
	if (waitpid(sender, &status, 0) != sender || status)
		die("the sender failed");
	double seconds = now() - before;
	printf("BenchmarkLibotrPipe %d %.0f ns/op %.2f MB/s\n", 1, seconds * 1e9, bytes / seconds / 1e6);
	free(line);
	free(text);
}

int main(int argc, char **argv)
{
	OTRL_INIT;
	begin(&alice);
	begin(&bob);
	if (argc == 3 && !strcmp(argv[1], "pipe")) {
		exchange_keys();
		measure_pipe(atoll(argv[2]));
		return 0;
	}
	if (argc != 1) {
		fprintf(stderr, "usage: libotr [pipe BYTES]\n");
		return 2;
	}
	measure_key_exchange();
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		measure_messages(sizes[i].bytes, sizes[i].name);
	measure_ping_pong();
	measure_smp();
	return 0;
}
