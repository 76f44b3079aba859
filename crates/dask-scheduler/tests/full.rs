//! Tables that are full: what others wait for can still be done.

use dask_proto::id::{ClientId, RequestId};
use dask_proto::limits::MAX_KEPT_REQUESTS;
use dask_proto::message::{
    Answer, ClientToScheduler, Code, Coordination, CoordinationRefusal, EventAction, Kept, Refusal,
    Request, SchedulerToClient,
};
use dask_proto::{Key, Moment};
use dask_scheduler::Config;
use dask_scheduler::state::{Event, Instruction, Instructions, SchedulerState};

const CLIENT: ClientId = ClientId(1);

fn asks(state: &mut SchedulerState, id: u64, action: EventAction) -> Vec<(RequestId, Answer)> {
    let name = Key::new("all").expect("a short name");
    let request = Request::Coordinate(Coordination::Event { name, action });
    let message = ClientToScheduler::Request { id: RequestId(id), request };
    let mut out = Instructions::new();
    let said = Event::ClientSaid { client: CLIENT, messages: vec![message] };
    state.handle(Moment::default(), said, &mut out);
    let mut answers = Vec::new();
    for instruction in out.drain() {
        if let Instruction::ToClient { messages, .. } = instruction {
            answers.extend(messages.into_iter().filter_map(|message| match message {
                SchedulerToClient::Answer { id, answer } => Some((id, answer)),
                _ => None,
            }));
        }
    }
    answers
}

#[test]
fn an_event_is_set_however_many_wait() {
    let address = "tcp://scheduler:8786".parse().expect("an address");
    let mut state = SchedulerState::new(Config::default(), address);
    let joined =
        Event::ClientJoined { client: CLIENT, name: "Client".to_owned(), code: Code::Withheld };
    state.handle(Moment::default(), joined, &mut Instructions::new());
    let most = MAX_KEPT_REQUESTS as u64;
    for id in 0..most {
        assert!(asks(&mut state, id, EventAction::Wait).is_empty());
    }
    let refused = Refusal::Coordination(CoordinationRefusal::Full(Kept::Requests));
    let answers = asks(&mut state, most, EventAction::Wait);
    assert_eq!(answers, [(RequestId(most), Answer::Refused(refused))]);
    let answers = asks(&mut state, most + 1, EventAction::Set);
    assert_eq!(answers.len() as u64, most + 1);
    assert!(answers.iter().all(|(_, answer)| *answer == Answer::Done));
}
