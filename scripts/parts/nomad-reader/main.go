// Reads a Nomad with HashiCorp's own Go client: registers a parameterized job, dispatches it, lists and reads
// what comes of that, follows the event stream, and stops the child. The first answer that the client cannot
// decode, or that does not show the child's life, ends it with 1 and the name of the call.
//
//	nomad-reader ADDRESS
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/hashicorp/nomad/api"
)

const jobspec = `job "read-by-go" {
  type = "batch"
  parameterized {
    meta_required = ["runner_name"]
  }
  group "g" {
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/sleep"
        args    = ["60"]
      }
    }
  }
}`

// read ends the program where a call failed.
func read[T, M any](call string) func(T, M, error) T {
	return func(value T, _ M, err error) T { return check[T](call)(value, err) }
}

func check[T any](call string) func(T, error) T {
	return func(value T, err error) T {
		if err != nil {
			log.Fatalf("%s: %v", call, err)
		}
		fmt.Println("read", call)
		return value
	}
}

func holds(what string, ok bool) {
	if !ok {
		log.Fatalf("not so: %s", what)
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := check[*api.Client]("client")(api.NewClient(&api.Config{Address: os.Args[1]}))
	jobs, query, write := client.Jobs(), (&api.QueryOptions{}).WithContext(ctx), &api.WriteOptions{}
	check[*api.AgentSelf]("agent self")(client.Agent().Self())
	holds("a node", len(read[[]*api.NodeListStub, *api.QueryMeta]("nodes")(client.Nodes().List(query))) > 0)

	job := check[*api.Job]("parse")(jobs.ParseHCL(jobspec, true))
	read[*api.JobRegisterResponse, *api.WriteMeta]("register")(jobs.Register(job, write))
	topics := map[api.Topic][]string{api.TopicJob: {"*"}, api.TopicAllocation: {"*"}, api.TopicEvaluation: {"*"}}
	events := check[<-chan *api.Events]("event stream")(client.EventStream().Stream(ctx, topics, 0, query))
	dispatched := read[*api.JobDispatchResponse, *api.WriteMeta]("dispatch")(jobs.DispatchOpts(&api.DispatchOptions{
		JobID: "read-by-go", Meta: map[string]string{"runner_name": "one"}, Payload: []byte("x"),
	}, &api.WriteOptions{IdempotencyToken: "one@octo/app"}))
	child := dispatched.DispatchedJobID
	follow(events, child, api.AllocClientStatusRunning)

	listed := read[[]*api.JobListStub, *api.QueryMeta]("jobs")(jobs.PrefixList("read-by-go/dispatch-"))
	holds("the child alone is listed", len(listed) == 1 && listed[0].ID == child)
	info := read[*api.Job, *api.QueryMeta]("job")(jobs.Info(child, query))
	holds("the child tells its token", *info.DispatchIdempotencyToken == "one@octo/app" && info.Meta["runner_name"] == "one")
	placed := read[[]*api.AllocationListStub, *api.QueryMeta]("allocations of a job")(jobs.Allocations(child, true, query))
	holds("one allocation runs", len(placed) == 1 && placed[0].ClientStatus == api.AllocClientStatusRunning)
	whole := read[*api.Allocation, *api.QueryMeta]("allocation")(client.Allocations().Info(placed[0].ID, query))
	holds("its task has started", whole.TaskStates["t"].State == "running" && whole.Job.Meta["runner_name"] == "one")
	looks := read[[]*api.Evaluation, *api.QueryMeta]("evaluations of a job")(jobs.Evaluations(child, query))
	read[*api.Evaluation, *api.QueryMeta]("evaluation")(client.Evaluations().Info(looks[0].ID, query))
	read[*api.JobSummary, *api.QueryMeta]("summary")(jobs.Summary("read-by-go", query))

	read[string, *api.WriteMeta]("stop")(jobs.Deregister(child, false, write))
	follow(events, child, api.AllocClientStatusComplete)
	read[string, *api.WriteMeta]("purge")(jobs.Deregister("read-by-go", true, write))
}

// jobOf reads by the client's type what its own event.Job() cannot: that one takes no payload in base64,
// and a real Nomad gives every dispatched child one ("AA==" where there is none).
func jobOf(event api.Event) (*api.Job, error) {
	text, err := json.Marshal(event.Payload)
	payload := struct{ Job *api.Job }{}
	if err == nil {
		err = json.Unmarshal(text, &payload)
	}
	return payload.Job, err
}

// follow decodes events until an allocation of the child has that status.
func follow(events <-chan *api.Events, child, status string) {
	for frame := range events {
		if frame.Err != nil {
			log.Fatalf("event stream: %v", frame.Err)
		}
		for _, event := range frame.Events {
			switch event.Topic {
			case api.TopicJob:
				check[*api.Job]("event of a job")(jobOf(event))
			case api.TopicEvaluation:
				check[*api.Evaluation]("event of an evaluation")(event.Evaluation())
			case api.TopicAllocation:
				allocation := check[*api.Allocation]("event of an allocation")(event.Allocation())
				if allocation.JobID == child && allocation.ClientStatus == status {
					return
				}
			}
		}
	}
	log.Fatalf("event stream: it ended before %s was %s", child, status)
}
