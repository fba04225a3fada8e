use super::*;

#[test]
fn networks_that_are_too_large_are_refused() {
    for hidden in [vec![1, 1, 1], vec![0], vec![UNITS_MAX + 1]] {
        assert!(Network::new(hidden, Activation::Tanh, Loss::Squared).is_err());
    }
}

#[test]
fn a_seed_says_where_parameters_begin() {
    let network = Network::new(vec![4, 3], Activation::Tanh, Loss::Logistic).unwrap();
    let begin = network.begin(5, 7);
    assert_eq!(begin.len(), network.parameters(5));
    assert_eq!(network.parameters(5), 4 * 6 + 3 * 5 + 4);
    assert_eq!(begin, network.begin(5, 7));
    assert_ne!(begin, network.begin(5, 8));
    assert!(begin.iter().all(|w| w.abs() < 1.0));
}

#[test]
fn slopes_are_the_derivatives_of_the_loss() {
    let x = [0.3, -1.2, 0.7];
    for hidden in [vec![], vec![3], vec![4, 2]] {
        for (activation, loss) in [
            (Activation::Tanh, Loss::Logistic),
            (Activation::Relu, Loss::Logistic),
            (Activation::Tanh, Loss::Squared),
        ] {
            let network = Network::new(hidden.clone(), activation, loss).unwrap();
            let mut parameters = network.begin(3, 11);
            parameters
                .iter_mut()
                .enumerate()
                .for_each(|(at, w)| *w += 0.01 * at as f64);
            let mut room = network.room(3);
            let mut slopes = vec![0.0; parameters.len()];
            network.add_slopes(&parameters, &x, 1.0, &mut room, &mut slopes);
            for at in 0..parameters.len() {
                let mut loss_at = |by: f64| {
                    let mut moved = parameters.clone();
                    moved[at] += by;
                    let mut unused = vec![0.0; moved.len()];
                    network.add_slopes(&moved, &x, 1.0, &mut room, &mut unused)
                };
                let expected = (loss_at(1e-5) - loss_at(-1e-5)) / 2e-5;
                let off = (slopes[at] - expected).abs();
                assert!(
                    off < 1e-9,
                    "{hidden:?} {activation:?} {loss:?} {at}: {} for {expected}",
                    slopes[at]
                );
            }
        }
    }
}
