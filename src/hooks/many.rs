//! The same question of many places, some at a time; answers come in the order of the places.

use std::collections::VecDeque;

use tokio::task::JoinSet;

/// Far below GitHub's limit of 100 requests at a time.
const AT_ONCE: usize = 8;

/// `told` hears how many of how many are done.
pub async fn each<T, R, F>(
    of: Vec<T>,
    mut told: impl FnMut(usize, usize),
    ask: impl Fn(T) -> F,
) -> Vec<R>
where
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let all = of.len();
    let mut waiting: VecDeque<(usize, T)> = of.into_iter().enumerate().collect();
    let mut answers: Vec<Option<R>> = (0..all).map(|_| None).collect();
    let mut asking = JoinSet::new();
    let mut done = 0;
    loop {
        while asking.len() < AT_ONCE
            && let Some((index, item)) = waiting.pop_front()
        {
            let answer = ask(item);
            asking.spawn(async move { (index, answer.await) });
        }
        let Some(ended) = asking.join_next().await else { break };
        match ended {
            Ok((index, answer)) => answers[index] = Some(answer),
            // Nothing here is aborted, and a panic is a bug: it goes on where it would have gone.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
        done += 1;
        told(done, all);
    }
    answers.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_come_in_order_and_progress_is_told() {
        let mut heard = Vec::new();
        let answers = each(
            (0..20).collect(),
            |done, all| heard.push((done, all)),
            |number: u32| {
                async move {
                    // The first answers last.
                    for _ in number..20 {
                        tokio::task::yield_now().await;
                    }
                    number
                }
            },
        );
        assert_eq!(answers.await, (0..20).collect::<Vec<_>>());
        assert_eq!(heard, (1..=20).map(|done| (done, 20)).collect::<Vec<_>>());
    }
}
