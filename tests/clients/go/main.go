// A Go program asks the gateway through arrow-go's Flight SQL client. What it is asked to ask, and what must come of it, is in the
// environment that gateway.py gives it. Its only argument is host:port.
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func check[T comparable](what string, got, wanted T) {
	if got != wanted {
		panic(fmt.Sprintf("%s: got %v, wanted %v", what, got, wanted))
	}
}

func refused(code string, err error) string {
	if err == nil || !strings.Contains(err.Error(), code) {
		panic(fmt.Sprintf("no %s in: %v", code, err))
	}
	return err.Error()
}

func number(name string) int64 {
	return must(strconv.ParseInt(os.Getenv(name), 10, 64))
}

// What calls carry: the token, and options as headers.
func with(headers ...string) context.Context {
	return metadata.AppendToOutgoingContext(context.Background(), headers...)
}

func connect() *flightsql.Client {
	return must(flightsql.NewClient(os.Args[1], nil, nil, grpc.WithTransportCredentials(insecure.NewCredentials())))
}

// Asks a question by fetching its answer, batch by batch.
func tried(ctx context.Context, client *flightsql.Client, info *flight.FlightInfo, each func(arrow.RecordBatch)) error {
	reader, err := client.DoGet(ctx, info.Endpoint[0].Ticket)
	if err != nil {
		return err
	}
	defer reader.Release()
	for reader.Next() {
		each(reader.RecordBatch())
	}
	return reader.Err()
}

func fetch(ctx context.Context, client *flightsql.Client, info *flight.FlightInfo, each func(arrow.RecordBatch)) {
	if err := tried(ctx, client, info, each); err != nil {
		panic(err)
	}
}

func failed(ctx context.Context, client *flightsql.Client, info *flight.FlightInfo) error {
	return tried(ctx, client, info, func(arrow.RecordBatch) {})
}

func texts(ctx context.Context, client *flightsql.Client, info *flight.FlightInfo, column int) (values []string) {
	fetch(ctx, client, info, func(batch arrow.RecordBatch) {
		for row := range int(batch.NumRows()) {
			values = append(values, batch.Column(column).ValueStr(row))
		}
	})
	return values
}

func asks(ctx context.Context, client *flightsql.Client) {
	schema := "collections"
	tables := texts(ctx, client, must(client.GetTables(ctx, &flightsql.GetTablesOpts{DbSchemaFilterPattern: &schema})), 2)
	check("tables", slices.Equal(tables, []string{"breast_cancer", "lung_cancer", "measles_weekly"}), true)
	types := texts(ctx, client, must(client.GetXdbcTypeInfo(ctx, nil)), 0)
	check("types", strings.Join(types, " "), "BOOLEAN BIGINT DOUBLE VARCHAR DATE TIMESTAMP")
	about := must(client.GetSqlInfo(ctx, []flightsql.SqlInfo{flightsql.SqlInfoFlightSqlServerReadOnly}))
	check("sql info", len(texts(ctx, client, about, 0)), 1)

	question := must(client.Prepare(ctx, os.Getenv("BY_DISTRICT")))
	check("parameter", question.ParameterSchema().Field(0).Type.ID(), arrow.INT64)
	year := array.NewInt64Builder(memory.DefaultAllocator)
	year.Append(2001)
	values := array.NewRecordBatch(question.ParameterSchema(), []arrow.Array{year.NewArray()}, 1)
	question.SetParameters(values)
	info := must(question.Execute(ctx))
	var answer []string
	fetch(ctx, client, info, func(batch arrow.RecordBatch) {
		for row := range int(batch.NumRows()) {
			answer = append(answer, batch.Column(0).ValueStr(row)+"="+batch.Column(1).ValueStr(row))
		}
	})
	check("by district", strings.Join(answer, ";"), os.Getenv("WANT_BY_DISTRICT"))
	// A ticket is for one fetch.
	refused("E_TICKET", failed(ctx, client, info))
	if err := question.Close(ctx); err != nil {
		panic(err)
	}
	statuses := texts(ctx, client, must(client.Execute(ctx, "SELECT status FROM datenraum.coverage")), 0)
	check("coverage", strings.Join(statuses, " "), "answered answered")

	info = must(client.Execute(ctx, os.Getenv("LARGE")))
	var rows, cases int64
	fetch(ctx, client, info, func(batch arrow.RecordBatch) {
		rows += batch.NumRows()
		for _, some := range batch.Column(4).(*array.Int64).Int64Values() {
			cases += some
		}
	})
	check("rows", rows, number("LARGE_ROWS"))
	check("cases", cases, number("LARGE_CASES"))

	// A question that is cancelled before its answer is fetched is not asked.
	info = must(client.Execute(ctx, os.Getenv("LARGE")))
	cancel(ctx, client, info)
	refused("E_TICKET", failed(ctx, client, info))
	// And nobody else's ticket is one.
	info = must(client.Execute(ctx, "SELECT 1"))
	other := connect()
	defer other.Close()
	refused("E_TICKET", failed(ctx, other, info))
}

func cancel(ctx context.Context, client *flightsql.Client, info *flight.FlightInfo) {
	cancelled := must(client.CancelFlightInfo(ctx, &flight.CancelFlightInfoRequest{Info: info}))
	check("cancelled", cancelled.Status, flight.CancelStatusCancelled)
}

func partial(ctx context.Context, client *flightsql.Client) {
	sql := os.Getenv("PARTIAL")
	said := refused("E_PARTIAL", failed(ctx, client, must(client.Execute(ctx, sql))))
	check("who is missing", strings.Contains(said, "rotterdam unreachable"), true)
	values := must(flight.NewSessionOptionValues(map[string]any{"minimum_nodes": int64(1), "minimum_node": int64(1)}))
	set := must(client.SetSessionOptions(ctx, &flight.SetSessionOptionsRequest{SessionOptions: values}))
	check("unknown option", set.Errors["minimum_node"].Value, flight.SetSessionOptionsResultErrorInvalidName)
	check("errors", len(set.Errors), 1)
	people := texts(ctx, client, must(client.Execute(ctx, sql)), 0)
	check("people", strings.Join(people, " "), os.Getenv("PEOPLE"))
	must(client.CloseSession(ctx, &flight.CloseSessionRequest{}))
	refused("E_PARTIAL", failed(ctx, client, must(client.Execute(ctx, sql))))
	other := metadata.AppendToOutgoingContext(ctx, "datenraum-purpose", "ehds-54-b")
	refused("E_PROHIBITED", failed(ctx, client, must(client.Execute(other, sql+" WHERE node = 'gbsg'"))))
}

func main() {
	client := connect()
	defer client.Close()
	for _, stranger := range []context.Context{with(), with("authorization", "Bearer wrong")} {
		_, err := client.Execute(stranger, "SELECT 1")
		refused("E_GATEWAY_TOKEN", err)
		check("status", status.Code(err), codes.Unauthenticated)
	}
	ctx := with("authorization", "Bearer "+os.Getenv("TOKEN"))
	asks(ctx, client)
	partial(ctx, client)

	// A question that would take long is given up at once: by a deadline, and from another call.
	before := time.Now()
	soon, stop := context.WithTimeout(ctx, 300*time.Millisecond)
	defer stop()
	err := failed(soon, client, must(client.Execute(ctx, os.Getenv("STUCK"))))
	check("given up", strings.Contains(err.Error(), "DeadlineExceeded"), true)
	info := must(client.Execute(ctx, os.Getenv("STUCK")))
	time.AfterFunc(300*time.Millisecond, func() { cancel(ctx, client, info) })
	refused("the question was cancelled", failed(ctx, client, info))
	check("at once", time.Since(before) < 5*time.Second, true)
	fmt.Println("ok")
}
