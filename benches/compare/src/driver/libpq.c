/* libpq, as its manual advises: statements prepared once, parameters and results in binary,
 * pipeline mode for many statements, single-row mode for large results. It blocks: there are
 * no tasks and no pool.
 *
 * libpq <host> <port> <user> <password> <database> <certificate or -> <workload> <tasks>
 *       <seconds> <rows of W10>
 *
 * prints what `compare live` prints. */
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { ROWS = 1000, WORLD = 10000, WIDE = 350, BLOBS = 100, BLOB = 4096, PIPELINED = 100, FAR = 20 };

static PGconn *connection;
static const char *conninfo;
static long stream_rows;
static int64_t insert_ids[ROWS];
static char insert_names[ROWS][32];
static uint64_t insert_values[ROWS];

static void fail(const char *what, const char *why) {
    fprintf(stderr, "libpq: %s: %s\n", what, why);
    exit(1);
}

static void check(int holds, const char *what) {
    if (!holds) fail(what, "was read wrongly");
}

static PGresult *expect(PGresult *result, ExecStatusType status) {
    if (PQresultStatus(result) != status) fail("the server", PQresultErrorMessage(result));
    return result;
}

static PGconn *open_connection(void) {
    PGconn *made = PQconnectdb(conninfo);
    if (PQstatus(made) != CONNECTION_OK) fail("connecting", PQerrorMessage(made));
    return made;
}

static void prepare(const char *name, const char *sql, int parameters, const Oid *types) {
    PQclear(expect(PQprepare(connection, name, sql, parameters, types), PGRES_COMMAND_OK));
}

static int32_t int4(const PGresult *result, int row, int column) {
    uint32_t value;
    memcpy(&value, PQgetvalue(result, row, column), 4);
    return (int32_t)ntohl(value);
}

static int64_t int8(const PGresult *result, int row, int column) {
    uint64_t value;
    memcpy(&value, PQgetvalue(result, row, column), 8);
    return (int64_t)__builtin_bswap64(value);
}

static double float8(const PGresult *result, int row, int column) {
    uint64_t bits = (uint64_t)int8(result, row, column);
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

static PGresult *run(const char *name) {
    return expect(PQexecPrepared(connection, name, 0, NULL, NULL, NULL, 1), PGRES_TUPLES_OK);
}

static int32_t random_number(int32_t id) {
    return ((id * 7919) & 0x7fff) + 1;
}

static int32_t nth_id(long turn) {
    return (int32_t)(turn * 97 % WORLD) + 1;
}

static void select_one(long turn) {
    (void)turn;
    PGresult *result = run("one");
    check(int4(result, 0, 0) == 1, "W1");
    PQclear(result);
}

static void lookup(long turn) {
    int32_t id = nth_id(turn);
    uint32_t wire = htonl((uint32_t)id);
    const char *values[] = {(const char *)&wire};
    int lengths[] = {4}, formats[] = {1};
    PGresult *result = expect(
        PQexecPrepared(connection, "lookup", 1, values, lengths, formats, 1), PGRES_TUPLES_OK);
    check(int4(result, 0, 0) == id && int4(result, 0, 1) == random_number(id), "W2");
    PQclear(result);
}

struct wide {
    char name[64];
    uint32_t namespace, owner, relid, elem, array;
    int16_t len;
    char byval, category, preferred, defined, delim;
};

static void wide(long turn) {
    (void)turn;
    static struct wide rows[WIDE];
    PGresult *result = run("wide");
    check(PQntuples(result) == WIDE, "W3");
    for (int row = 0; row < WIDE; row++) {
        struct wide *one = &rows[row];
        uint16_t len;
        memcpy(one->name, PQgetvalue(result, row, 0), (size_t)PQgetlength(result, row, 0) + 1);
        one->namespace = (uint32_t)int4(result, row, 1);
        one->owner = (uint32_t)int4(result, row, 2);
        memcpy(&len, PQgetvalue(result, row, 3), 2);
        one->len = (int16_t)ntohs(len);
        one->byval = *PQgetvalue(result, row, 4);
        one->category = *PQgetvalue(result, row, 5);
        one->preferred = *PQgetvalue(result, row, 6);
        one->defined = *PQgetvalue(result, row, 7);
        one->delim = *PQgetvalue(result, row, 8);
        one->relid = (uint32_t)int4(result, row, 9);
        one->elem = (uint32_t)int4(result, row, 10);
        one->array = (uint32_t)int4(result, row, 11);
    }
    check(rows[WIDE - 1].array == WIDE + 1000 && rows[1].len == 1, "W3");
    PQclear(result);
}

static void integers(long turn) {
    (void)turn;
    static int32_t numbers[ROWS];
    PGresult *result = run("integers");
    check(PQntuples(result) == ROWS, "W4");
    for (int row = 0; row < ROWS; row++) numbers[row] = int4(result, row, 0);
    check(numbers[0] == 1 && numbers[ROWS - 1] == ROWS, "W4");
    PQclear(result);
}

static void blobs_borrowed(long turn) {
    (void)turn;
    PGresult *result = run("blobs");
    long seen = 0;
    for (int row = 0; row < PQntuples(result); row++)
        seen += PQgetlength(result, row, 0) + *(unsigned char *)PQgetvalue(result, row, 0);
    check(seen == (long)BLOBS * BLOB, "W5");
    PQclear(result);
}

static void blobs_owned(long turn) {
    (void)turn;
    PGresult *result = run("blobs");
    char *kept[BLOBS];
    check(PQntuples(result) == BLOBS, "W5");
    for (int row = 0; row < BLOBS; row++) {
        kept[row] = malloc((size_t)PQgetlength(result, row, 0));
        memcpy(kept[row], PQgetvalue(result, row, 0), (size_t)PQgetlength(result, row, 0));
    }
    PQclear(result);
    for (int row = 0; row < BLOBS; row++) {
        check(kept[row][1] == 1, "W5");
        free(kept[row]);
    }
}

static void arrays(long turn) {
    (void)turn;
    PGresult *result = run("arrays");
    for (int row = 0; row < PQntuples(result); row++) {
        /* One dimension: five words of header, then a length and a value each. */
        const char *at = PQgetvalue(result, row, 0) + 20;
        int32_t *elements = malloc(100 * sizeof *elements);
        for (int index = 0; index < 100; index++) {
            uint32_t word;
            memcpy(&word, at + index * 8 + 4, 4);
            elements[index] = (int32_t)ntohl(word);
        }
        check(elements[99] == (row + 1) * 1000 + 99, "W6");
        free(elements);
    }
    PQclear(result);
}

static void send_lookup(int index) {
    uint32_t wire = htonl((uint32_t)nth_id(index));
    const char *values[] = {(const char *)&wire};
    int lengths[] = {4}, formats[] = {1};
    if (!PQsendQueryPrepared(connection, "lookup", 1, values, lengths, formats, 1))
        fail("a pipeline", PQerrorMessage(connection));
}

static void end_pipeline(void) {
    PQclear(expect(PQgetResult(connection), PGRES_PIPELINE_SYNC));
}

static void pipeline(int count, int each) {
    PQenterPipelineMode(connection);
    for (int index = 0; index < count; index++) {
        send_lookup(index);
        if (each) PQpipelineSync(connection);
    }
    if (!each) PQpipelineSync(connection);
    for (int index = 0; index < count; index++) {
        PGresult *result = expect(PQgetResult(connection), PGRES_TUPLES_OK);
        check(int4(result, 0, 1) == random_number(nth_id(index)), "W7");
        PQclear(result);
        PQclear(PQgetResult(connection));
        if (each) end_pipeline();
    }
    if (!each) end_pipeline();
    PQexitPipelineMode(connection);
}

static void pipeline_each(long turn) { (void)turn; pipeline(PIPELINED, 1); }
static void pipeline_one(long turn) { (void)turn; pipeline(PIPELINED, 0); }
static void far(long turn) { (void)turn; pipeline(FAR, 0); }

static void inserts(long turn) {
    (void)turn;
    PQenterPipelineMode(connection);
    for (int row = 0; row < ROWS; row++) {
        const char *values[] = {(char *)&insert_ids[row], insert_names[row], (char *)&insert_values[row]};
        int lengths[] = {8, (int)strlen(insert_names[row]), 8}, formats[] = {1, 1, 1};
        if (!PQsendQueryPrepared(connection, "insert", 3, values, lengths, formats, 1))
            fail("an insert", PQerrorMessage(connection));
    }
    PQpipelineSync(connection);
    for (int row = 0; row < ROWS; row++) {
        PQclear(expect(PQgetResult(connection), PGRES_COMMAND_OK));
        PQclear(PQgetResult(connection));
    }
    end_pipeline();
    PQexitPipelineMode(connection);
}

static void copy_in(long turn) {
    (void)turn;
    static char buffer[ROWS * 64];
    char *at = buffer;
    PQclear(expect(
        PQexec(connection,
               "copy kornak_bench.sink (id, name, value) from stdin with (format binary)"),
        PGRES_COPY_IN));
    memcpy(at, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
    at += 19;
    for (int row = 0; row < ROWS; row++) {
        uint16_t columns = htons(3);
        uint32_t eight = htonl(8), length = (uint32_t)strlen(insert_names[row]);
        uint32_t wire = htonl(length);
        memcpy(at, &columns, 2), at += 2;
        memcpy(at, &eight, 4), at += 4;
        memcpy(at, &insert_ids[row], 8), at += 8;
        memcpy(at, &wire, 4), at += 4;
        memcpy(at, insert_names[row], length), at += length;
        memcpy(at, &eight, 4), at += 4;
        memcpy(at, &insert_values[row], 8), at += 8;
    }
    memcpy(at, "\377\377", 2), at += 2;
    if (PQputCopyData(connection, buffer, (int)(at - buffer)) != 1 ||
        PQputCopyEnd(connection, NULL) != 1)
        fail("a copy", PQerrorMessage(connection));
    PGresult *result = expect(PQgetResult(connection), PGRES_COMMAND_OK);
    check(atoi(PQcmdTuples(result)) == ROWS, "W9");
    PQclear(result);
    PQclear(PQgetResult(connection));
}

static void stream(long turn) {
    (void)turn;
    uint64_t wire = __builtin_bswap64((uint64_t)stream_rows);
    const char *values[] = {(const char *)&wire};
    int lengths[] = {8}, formats[] = {1};
    if (!PQsendQueryPrepared(connection, "stream", 1, values, lengths, formats, 1) ||
        !PQsetSingleRowMode(connection))
        fail("a stream", PQerrorMessage(connection));
    int64_t rows = 0, ids = 0, bytes = 0;
    double sum = 0;
    PGresult *result;
    while ((result = PQgetResult(connection))) {
        if (PQresultStatus(result) == PGRES_SINGLE_TUPLE) {
            rows++;
            ids += int8(result, 0, 0);
            bytes += PQgetlength(result, 0, 1);
            sum += float8(result, 0, 2);
        } else {
            expect(result, PGRES_TUPLES_OK);
        }
        PQclear(result);
    }
    check(rows == stream_rows && ids == rows * (rows + 1) / 2 && bytes > rows * 5 && sum > 0, "W10");
}

static void connect_and_ask(long turn) {
    (void)turn;
    PGconn *made = open_connection();
    PGresult *result =
        expect(PQexecParams(made, "select 1", 0, NULL, NULL, NULL, NULL, 1), PGRES_TUPLES_OK);
    check(int4(result, 0, 0) == 1, "W11");
    PQclear(result);
    PQfinish(made);
}

static const struct {
    const char *name;
    void (*once)(long turn);
} WORKS[] = {
    {"w1-select-1", select_one},
    {"w2-lookup", lookup},
    {"w3-wide", wide},
    {"w4-integers", integers},
    {"w5-blobs-borrowed", blobs_borrowed},
    {"w5-blobs-owned", blobs_owned},
    {"w6-arrays", arrays},
    {"w7-pipeline-each", pipeline_each},
    {"w7-pipeline-one", pipeline_one},
    {"w8-inserts", inserts},
    {"w9-copy-in", copy_in},
    {"w10-visit", stream},
    {"w10-stream", stream},
    {"w11-connect", connect_and_ask},
    {"w12-far", far},
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct rusage usage(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage;
}

static double cpu(void) {
    struct rusage used = usage();
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static int ascending(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

int main(int count, char **arguments) {
    if (count != 11) fail("usage", "see the source");
    void (*once)(long) = NULL;
    for (size_t index = 0; index < sizeof WORKS / sizeof *WORKS; index++)
        if (!strcmp(WORKS[index].name, arguments[7])) once = WORKS[index].once;
    if (!once || atoi(arguments[8]) > 0) {
        puts("null");
        return 0;
    }
    double seconds = atof(arguments[9]);
    stream_rows = atol(arguments[10]);
    char text[2048];
    int is_tls = strcmp(arguments[6], "-");
    snprintf(text, sizeof text,
             "host='%s' port='%s' user='%s' password='%s' dbname='%s' sslmode=%s sslrootcert='%s'",
             arguments[1], arguments[2], arguments[3], arguments[4], arguments[5],
             is_tls ? "verify-full" : "disable", is_tls ? arguments[6] : "");
    conninfo = text;
    for (int row = 0; row < ROWS; row++) {
        double value = (row + 1) / 4.0;
        uint64_t bits;
        memcpy(&bits, &value, 8);
        insert_ids[row] = (int64_t)__builtin_bswap64((uint64_t)row + 1);
        snprintf(insert_names[row], sizeof insert_names[row], "name %d", row + 1);
        insert_values[row] = __builtin_bswap64(bits);
    }
    connection = open_connection();
    long idle_kib = usage().ru_maxrss;
    prepare("one", "select 1", 0, NULL);
    prepare("lookup", "select id, random_number from kornak_bench.world where id = $1", 1, (Oid[]){23});
    prepare("wide",
            "select typname, typnamespace, typowner, typlen, typbyval, typcategory, "
            "typispreferred, typisdefined, typdelim, typrelid, typelem, typarray from "
            "kornak_bench.types",
            0, NULL);
    prepare("integers", "select n from kornak_bench.integers order by n", 0, NULL);
    prepare("blobs", "select body from kornak_bench.blobs", 0, NULL);
    prepare("arrays", "select body from kornak_bench.arrays order by id", 0, NULL);
    prepare("stream", "select id, name, value from kornak_bench.stream where id <= $1", 1, (Oid[]){20});
    prepare("insert", "insert into kornak_bench.sink (id, name, value) values ($1, $2, $3)", 3,
            (Oid[]){20, 25, 701});
    long turn = 0;
    double warm = now();
    do once(++turn);
    while (now() - warm < seconds / 5);
    size_t capacity = 1 << 16, done = 0;
    double *times = malloc(capacity * sizeof *times);
    double begun = now(), busy = cpu();
    do {
        double start = now();
        once(++turn);
        if (done == capacity) times = realloc(times, (capacity *= 2) * sizeof *times);
        times[done++] = now() - start;
    } while (now() - begun < seconds);
    double elapsed = now() - begun;
    busy = cpu() - busy;
    qsort(times, done, sizeof *times, ascending);
    printf("{\"per_second\": %f, \"p50_us\": %f, \"p99_us\": %f, \"cpu_us\": %f, "
           "\"peak_kib\": %ld, \"grown_kib\": %ld}\n",
           (double)done / elapsed, times[(done - 1) / 2] * 1e6, times[(done - 1) * 99 / 100] * 1e6,
           busy * 1e6 / (double)done, usage().ru_maxrss, usage().ru_maxrss - idle_kib);
    PQfinish(connection);
    return 0;
}
