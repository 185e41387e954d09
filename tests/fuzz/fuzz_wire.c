/* api.sock: several connections say what the input says, among it what is right and in its turn, to the supervisor's
 * own code for sessions. What of the supervisor stands behind that is a fake, as far as this asks it. */
#include <config.h>

#include "tests/fuzz/bytes.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <ev.h>

#include "apilib/handle.h"
#include "apilib/registry.h"
#include "apilib/wire.h"
#include "supervisor/app_private.h"
#include "supervisor/clients.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/ledger.h"
#include "supervisor/kernel.h"
#include "supervisor/log.h"
#include "supervisor/pids.h"
#include "supervisor/service.h"
#include "supervisor/sessions.h"

#define UUID "0b7c51e2-0000-4000-8000-000000000001"
#define BOOT "6f1e51e2-0000-4000-8000-000000000002"
#define TOKEN "fedcba9876543210"

enum { PEERS = 6, HANDLES = 4, TURNS = 4 };

static struct {
	char folder[64], path[80];
	struct config config;
	struct app_config app_config;
	struct epochd epochd;
	struct kernel kernel;
	struct app app;
	int peer[PEERS];               /* -1: none */
	uint64_t handle[HANDLES];      /* that were given, the last ones */
	unsigned handles;
} world;

static void must(bool truth)
{
	if (!truth)
		abort();
}

/* ---- what is asked of the supervisor ---- */

struct app *epochd_app(const struct epochd *epochd, const char *name)
{
	(void)epochd;
	return strcmp(name, "api") == 0 ? &world.app : NULL;
}

const char *app_name(const struct app *app) { return app->config->name; }
enum app_state app_state(const struct app *app) { return app->state; }
const char *app_state_name(enum app_state state) { return state == APP_UP ? "up" : "backoff"; }
void app_is_up(struct app *app, const char *reason) { (void)app; (void)reason; }
void app_save(struct app *app) { (void)app; }
void app_fill_reclaimed(const struct app *app, const struct clients_sum *sum) { (void)app; (void)sum; }
uint64_t app_post(struct app *app, const char *event, const char *reason)
{
	(void)app;
	(void)event;
	(void)reason;
	return 0;
}
void app_watchdog_start(struct app *app) { (void)app; }
void trace_attached(struct app *app, bool is_back) { (void)app; (void)is_back; }
void trace_tell(struct app *app) { (void)app; }
void app_detached_watchdog(struct app *app) { (void)app; }
bool app_runs(const struct app *app) { return app->state == APP_UP; }
int pids_know(const struct pids *pids, pid_t pid) { (void)pids; (void)pid; return 0; }
bool app_expects(const struct app *app) { (void)app; return false; }

bool app_begin_external(struct app *app, pid_t pid, int pidfd)
{
	(void)app;
	(void)pid;
	(void)pidfd;
	return false;
}

bool app_notify_sender(pid_t pid, uid_t uid, void *user)
{
	(void)pid;
	(void)uid;
	(void)user;
	return true;
}

void app_describe_end(const struct ep_end *end, char *text, size_t size)
{
	(void)end;
	snprintf(text, size, "killed");
}

/* ---- once ---- */

static void remove_all(void)
{
	static const char *const names[] = { "api", ".ledger", "api.sock" };
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof path, "%s/%s", world.folder, names[i]);
		unlink(path);
	}
	rmdir(world.folder);
}

static void set_up(void)
{
	static char name[] = "api", instance[] = "fuzz";
	const struct ep_registry_id id = { UUID, BOOT, name, 0 };
	struct epochd *epochd = &world.epochd;
	const char *why;
	bool fresh;

	snprintf(world.folder, sizeof world.folder, "/tmp/epochd-fuzz-XXXXXX");
	must(mkdtemp(world.folder) != NULL);
	atexit(remove_all);
	snprintf(world.path, sizeof world.path, "%s/api.sock", world.folder);
	log_setup((struct log_options){ .level = LOG_LEVEL_ERROR });
	world.config.instance = instance;
	world.config.api_mode = 0600;
	world.app_config.name = name;
	world.app_config.channel = (struct ep_geometry){ .ring = 4, .classes = 1, .class = { { 64, 2 } } };
	world.app_config.clients.max = 4;
	world.app_config.clients.max_per_user = 3;
	epochd->config = &world.config;
	epochd->loop = ev_loop_new(EVFLAG_AUTO);
	epochd->segments = open(world.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(epochd->uuid, sizeof epochd->uuid, "%s", UUID);
	must(ledger_open(&epochd->ledger, epochd->segments, UUID, BOOT, &fresh, &why) == 0);
	must(ep_registry_create(&world.app.registry, epochd->segments, &id) == 0);
	must(ledger_record_get(&world.app.ledger, epochd->ledger, name) == 0);
	snprintf(world.app.ledger->token, sizeof world.app.ledger->token, "%s", TOKEN);
	kernel_probe(&world.kernel);
	epochd->kernel = &world.kernel;
	world.app.epochd = epochd;
	world.app.config = &world.app_config;
}

/* ---- what the application goes through ---- */

static void set_state(enum app_state state)
{
	world.app.state = state;
	atomic_store(&world.app.registry->fence,
		     ep_fence_pack(world.app.epoch, state == APP_UP ? EP_UP : EP_DOWN, (struct ep_end){ 0 }));
}

static void restart(void)
{
	set_state(APP_BACKOFF);
	sessions_fence_moved(world.epochd.sessions, &world.app);
	sessions_app_changed(world.epochd.sessions, &world.app);
	world.app.epoch++;
	set_state(APP_UP);
	sessions_app_changed(world.epochd.sessions, &world.app);
}

static void turn(void)
{
	for (int i = 0; i < TURNS; i++)
		ev_run(world.epochd.loop, EVRUN_NOWAIT);
}

/* ---- what the peers do ---- */

static void say(int peer, const void *bytes, size_t size, unsigned fd_count)
{
	const int fds[EP_WIRE_FDS_MAX] = { 0, 0, 0, 0 };
	union { char bytes[CMSG_SPACE(sizeof fds)]; struct cmsghdr align; } control = { .bytes = { 0 } };
	struct iovec part = { .iov_len = size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	memcpy(&part.iov_base, &bytes, sizeof bytes);   /* which is only read */
	if (fd_count) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof fds[0]);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fd_count * sizeof fds[0]);
		memcpy(CMSG_DATA(&control.align), fds, fd_count * sizeof fds[0]);
	}
	(void)!sendmsg(peer, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void say_packet(int peer, void *packet, enum ep_wire_kind kind, size_t size)
{
	struct ep_wire_head *head = packet;

	*head = ep_wire_make(kind, size);
	say(peer, packet, size, 0);
}

static void say_hello(int peer)
{
	struct ep_wire_hello hello = { .app = "api", .name = "fuzz" };

	say_packet(peer, &hello, EP_WIRE_HELLO, sizeof hello);
}

static void say_join(int peer, struct bytes *bytes)
{
	struct ep_wire_join join = { .epoch = world.app.epoch };
	uint8_t how = bytes_u8(bytes);

	if (how & 1)
		join.epoch += bytes_u8(bytes);
	if (how & 2)
		join.wanted = (struct ep_geometry){ .ring = bytes_u8(bytes), .classes = bytes_u8(bytes) % 8,
						    .class = { { bytes_u8(bytes), bytes_u8(bytes) } } };
	say_packet(peer, &join, EP_WIRE_JOIN, sizeof join);
}

static void say_attach(int peer)
{
	struct ep_wire_attach attach = { .app = "api", .token = TOKEN };

	say_packet(peer, &attach, EP_WIRE_ATTACH, sizeof attach);
}

static void say_with_fd(int peer, void *packet, enum ep_wire_kind kind, size_t size)
{
	struct ep_wire_head *head = packet;

	*head = ep_wire_make(kind, size);
	say(peer, packet, size, kind == EP_WIRE_RESUME_APP ? EP_RESUME_APP_FDS : 1);
}

/* Both sides, with what is no channel and no bell. */
static void say_resume(int peer, struct bytes *bytes)
{
	struct ep_wire_resume resume = { .app = "api", .name = "fuzz", .handle = world.handle[bytes_u8(bytes) % HANDLES] };
	struct ep_wire_resume_app of_app = { .app = "api", .token = TOKEN, .epoch = world.app.epoch };
	struct ep_wire_handles handles = { .count = 1 + bytes_u8(bytes) % HANDLES };

	switch (bytes_u8(bytes) % 3) {
	case 0:
		say_with_fd(peer, &resume, EP_WIRE_RESUME, sizeof resume);
		break;
	case 1:
		say_with_fd(peer, &of_app, EP_WIRE_RESUME_APP, sizeof of_app);
		break;
	default:
		memcpy(handles.handle, world.handle, sizeof world.handle);
		say_packet(peer, &handles, EP_WIRE_HANDLES, ep_wire_handles_size(handles.count));
	}
}

static void say_table(int peer, struct bytes *bytes)
{
	union ep_wire_packet packet;
	size_t size = sizeof packet.head + bytes_u32(bytes) % (sizeof packet - sizeof packet.head);

	memset(&packet, bytes_u8(bytes), size);
	say_packet(peer, &packet, EP_WIRE_TABLE, size);
}

static void say_of_client(int peer, struct bytes *bytes)
{
	uint64_t handle = world.handle[bytes_u8(bytes) % HANDLES];
	struct ep_wire_drained drained = { .handle = handle, .messages = bytes_u32(bytes), 
					  .held = UINT64_MAX, .abandoned = UINT64_MAX };
	struct ep_wire_broken broken = { .handle = handle };

	if (bytes_u8(bytes) & 1) {
		say_packet(peer, &drained, EP_WIRE_DRAINED, sizeof drained);
		return;
	}
	bytes_take(bytes, broken.text, 40);
	say_packet(peer, &broken, EP_WIRE_BROKEN, sizeof broken);
}

/* Of some kind, its size right: so what stands in it is looked at. */
static void say_some_kind(int peer, struct bytes *bytes)
{
	static const size_t sizes[EP_WIRE_KINDS] = {
		[EP_WIRE_HELLO] = sizeof(struct ep_wire_hello), [EP_WIRE_JOIN] = sizeof(struct ep_wire_join),
		[EP_WIRE_PONG] = sizeof(struct ep_wire_pong), [EP_WIRE_ATTACH] = sizeof(struct ep_wire_attach),
		[EP_WIRE_DRAINED] = sizeof(struct ep_wire_drained),
		[EP_WIRE_REFUSALS] = sizeof(struct ep_wire_refusals),
		[EP_WIRE_BROKEN] = sizeof(struct ep_wire_broken), [EP_WIRE_WAIT] = sizeof(struct ep_wire_wait),
		[EP_WIRE_OFFER] = sizeof(struct ep_wire_offer), [EP_WIRE_WELCOME] = sizeof(struct ep_wire_welcome),
		[EP_WIRE_FENCED] = sizeof(struct ep_wire_fenced), [EP_WIRE_GONE] = sizeof(struct ep_wire_gone),
		[EP_WIRE_REFUSED] = sizeof(struct ep_wire_refused), [EP_WIRE_PING] = sizeof(struct ep_wire_ping),
		[EP_WIRE_ATTACHED] = sizeof(struct ep_wire_attached),
		[EP_WIRE_JOINED] = sizeof(struct ep_wire_joined), [EP_WIRE_RESUME] = sizeof(struct ep_wire_resume),
		[EP_WIRE_RESUME_APP] = sizeof(struct ep_wire_resume_app),
		[EP_WIRE_RESUMED] = sizeof(struct ep_wire_resumed),
	};
	union ep_wire_packet packet;
	enum ep_wire_kind kind = (enum ep_wire_kind)(bytes_u8(bytes) % EP_WIRE_KINDS);
	size_t size = sizes[kind] ? sizes[kind] : sizeof packet.head;

	bytes_take(bytes, packet.bytes, size);
	say_packet(peer, &packet, kind, size);
}

static void say_anything(int peer, struct bytes *bytes)
{
	unsigned char some[256];
	size_t size = bytes_u8(bytes);
	unsigned fds = bytes_u8(bytes);

	bytes_take(bytes, some, size);
	say(peer, some, size, fds < 64 ? fds % (EP_WIRE_FDS_MAX + 1) : 0);
}

static void hear(int peer)
{
	union ep_wire_packet packet;
	int fds[EP_WIRE_FDS_MAX];
	unsigned count;

	while (ep_wire_receive(peer, &packet, fds, &count, EP_WIRE_FDS_MAX) == 1) {
		if (packet.head.kind == EP_WIRE_WELCOME) {
			must(ep_handle_epoch(packet.welcome.handle) <= world.app.epoch);
			must(count == EP_WELCOME_FDS);
			world.handle[world.handles++ % HANDLES] = packet.welcome.handle;
		}
		for (unsigned i = 0; i < count; i++)
			close(fds[i]);
	}
}

static int connect_one(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", world.path);
	must(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
	return fd;
}

static void hang_up(int *peer)
{
	if (*peer >= 0)
		close(*peer);
	*peer = -1;
}

static void step(struct bytes *bytes)
{
	uint8_t what = bytes_u8(bytes);
	int *peer = &world.peer[(what >> 4) % PEERS];
	struct ep_wire_head head;

	if (*peer < 0)
		*peer = connect_one();
	switch (what % 16) {
	case 0: say_anything(*peer, bytes); break;
	case 1:
	case 2: say_some_kind(*peer, bytes); break;
	case 3: say_resume(*peer, bytes); break;
	case 4: say_hello(*peer); break;
	case 5:
	case 6: say_join(*peer, bytes); break;
	case 7: say_attach(*peer); break;
	case 8: say_table(*peer, bytes); break;
	case 9: say_packet(*peer, &head, EP_WIRE_READY, sizeof head); break;
	case 10: say_of_client(*peer, bytes); break;
	case 11: say_packet(*peer, &head, EP_WIRE_GOODBYE, sizeof head); break;
	case 12: hear(*peer); break;
	case 13: hang_up(peer); break;
	case 14: turn(); return;   /* otherwise they come together */
	case 15:
		if (bytes_u8(bytes) % 4 == 0)
			restart();
		else
			turn();
		return;
	}
	if (bytes_u8(bytes) & 3)
		turn();
}

/* ---- one input ---- */

static void nothing_is_left(void)
{
	const struct ep_slot *slots = ep_registry_slots(world.app.registry);

	for (uint32_t i = 0; i < atomic_load(&world.app.registry->slots_backed); i++)
		must(!atomic_load(&slots[i].handle) && !atomic_load(&slots[i].owed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes bytes = { data, size };
	struct app *apps[] = { &world.app };

	if (!world.epochd.loop)
		set_up();
	for (int i = 0; i < PEERS; i++)
		world.peer[i] = -1;
	memset(world.handle, 0, sizeof world.handle);
	world.app.epoch = 7;
	set_state(APP_UP);
	world.epochd.apps = apps;
	world.epochd.app_count = 1;
	must(sessions_new(&world.epochd.sessions, &world.epochd, world.path) == 0);
	while (bytes.left)
		step(&bytes);
	turn();
	for (int i = 0; i < PEERS; i++)
		hang_up(&world.peer[i]);
	turn();
	set_state(APP_BACKOFF);
	sessions_free(world.epochd.sessions);
	nothing_is_left();
	return 0;
}
