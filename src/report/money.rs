//! What is left to pay of a month after the plan's included minutes. Money is in millionths of a dollar.

/// The private minutes of a month.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct MonthUse {
    jobs: u64,
    /// Included minutes that standard runners would use up, if there were enough.
    wanted: u64,
    standard_cost: u64,
    larger_cost: u64,
}

impl MonthUse {
    /// `uses`: included minutes that each minute uses up; `None` where they do not count.
    pub fn add(&mut self, minutes: u64, uses: Option<u64>, cost: u64) {
        self.jobs += 1;
        match uses {
            Some(uses) => {
                self.wanted += minutes * uses;
                self.standard_cost += cost;
            }
            None => self.larger_cost += cost,
        }
    }

    pub fn is_unused(&self) -> bool {
        self.jobs == 0
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Allotment {
    pub used: u64,
    pub left: u64,
    pub cost: u64,
}

impl Allotment {
    /// Each month has its own, and nothing of it is carried over. Where a month has runners of several
    /// prices and not enough minutes, each has its share of them: GitHub gives them to whatever runs first.
    pub fn of(months: &[MonthUse], included: u64) -> Self {
        let mut all = Self::default();
        for month in months {
            let used = month.wanted.min(included);
            all.used += used;
            all.left += included - used;
            all.cost += month.larger_cost;
            if month.wanted > 0 {
                let paid = u128::from(month.standard_cost) * u128::from(month.wanted - used);
                let paid = paid / u128::from(month.wanted);
                // It is a part of `standard_cost`.
                all.cost += u64::try_from(paid).unwrap_or(month.standard_cost);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(minutes: u64) -> MonthUse {
        let mut month = MonthUse::default();
        month.add(minutes, Some(1), minutes * 6_000);
        month
    }

    #[test]
    fn a_month_has_its_own_included_minutes() {
        let one = Allotment::of(&[month(2_500), month(100)], 2_000);
        assert_eq!(one, Allotment { used: 2_100, left: 1_900, cost: 500 * 6_000 });
        assert_eq!(Allotment::of(&[], 2_000), Allotment::default());
        assert_eq!(Allotment::of(&[MonthUse::default()], 2_000).left, 2_000);
    }

    #[test]
    fn windows_and_macos_use_more_of_them_and_larger_runners_none() {
        let mut mixed = MonthUse::default();
        mixed.add(1_000, Some(1), 6_000_000);
        mixed.add(1_500, Some(2), 15_000_000);
        mixed.add(10, None, 120_000);
        // 4000 are wanted and 2000 are there, so half of 21 dollars is left.
        let all = Allotment::of(&[mixed], 2_000);
        assert_eq!(all, Allotment { used: 2_000, left: 0, cost: 10_500_000 + 120_000 });
    }
}
