//! Operations on numbers: `+ - * / %`. hcl-rs has its own, which end the process where Nomad, whose numbers
//! have no largest, ends in an error or goes on: `1 % 0`, and whatever does not fit 64 bits. So before
//! anything is evaluated each of them becomes the call of a function that is here.

use hcl::Value;
use hcl::edit::Ident;
use hcl::edit::expr::{BinaryOperator, Expression, FuncArgs as Arguments, FuncCall};
use hcl::eval::{Context, Func, FuncArgs, FuncDef, ParamType};

/// No name in a jobspec has two underscores before it by chance, and errors do not show it.
const NAMES: [(&str, Func); 5] = [
    ("__add", |args| calculate(&args, i128::checked_add, |a, b| a + b)),
    ("__subtract", |args| calculate(&args, i128::checked_sub, |a, b| a - b)),
    ("__multiply", |args| calculate(&args, i128::checked_mul, |a, b| a * b)),
    ("__divide", divide),
    ("__remainder", remainder),
];

pub fn declare(context: &mut Context<'_>) {
    for (name, func) in NAMES {
        let builder = FuncDef::builder().params(vec![ParamType::Any; 2]);
        context.declare_func(name, builder.build(func));
    }
}

/// Whether a function that failed is one of these, and so an operation to whoever wrote it.
pub fn is_operation(name: &str) -> bool {
    NAMES.iter().any(|(ours, _)| *ours == name)
}

/// The call that takes the operation's place.
pub fn called(node: &Expression) -> Option<Expression> {
    let Expression::BinaryOp(operation) = node else { return None };
    let name = match *operation.operator.value() {
        BinaryOperator::Plus => "__add",
        BinaryOperator::Minus => "__subtract",
        BinaryOperator::Mul => "__multiply",
        BinaryOperator::Div => "__divide",
        BinaryOperator::Mod => "__remainder",
        _ => return None,
    };
    let both = vec![operation.lhs_expr.clone(), operation.rhs_expr.clone()];
    Some(FuncCall::new(Ident::new(name), Arguments::from(both)).into())
}

fn divide(args: FuncArgs) -> Result<Value, String> {
    match float(&args, 1)? {
        0.0 => Err("division by zero".to_owned()),
        divisor => finite(float(&args, 0)? / divisor),
    }
}

fn remainder(args: FuncArgs) -> Result<Value, String> {
    match float(&args, 1)? {
        0.0 => Err("division by zero".to_owned()),
        _ => calculate(&args, i128::checked_rem, |a, b| a % b),
    }
}

/// Of whole numbers exactly, where what comes out has 64 bits.
fn calculate(
    args: &FuncArgs,
    whole: fn(i128, i128) -> Option<i128>,
    floats: fn(f64, f64) -> f64,
) -> Result<Value, String> {
    let exact = integer(args, 0).zip(integer(args, 1)).and_then(|(a, b)| whole(a, b));
    if let Some(exact) = exact {
        if let Ok(number) = i64::try_from(exact) {
            return Ok(number.into());
        }
        if let Ok(number) = u64::try_from(exact) {
            return Ok(number.into());
        }
    }
    finite(floats(float(args, 0)?, float(args, 1)?))
}

fn finite(number: f64) -> Result<Value, String> {
    let number = hcl::Number::from_f64(number);
    number.map(Value::from).ok_or_else(|| "the result is too large a number".to_owned())
}

fn integer(args: &FuncArgs, at: usize) -> Option<i128> {
    let number = args.get(at)?.as_number()?;
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

fn float(args: &FuncArgs, at: usize) -> Result<f64, String> {
    let number = args.get(at).and_then(Value::as_number).and_then(hcl::Number::as_f64);
    number.ok_or_else(|| "unsuitable value for an operation: a number is required".to_owned())
}
