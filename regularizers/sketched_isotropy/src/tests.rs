use super::*;
use regatta_core::conformance::{conforms, kernel_agrees, kernel_agrees_on};

fn sketched(sketch_dims: usize) -> SketchedIsotropy {
    SketchedIsotropy { sketch_dims: Count::try_from(sketch_dims as u64).unwrap() }
}

fn cloud<const N: usize, const D: usize>(points: [[f64; D]; N]) -> Cloud {
    Cloud::new(Tensor::new(&[points], &Device::Cpu).unwrap()).unwrap()
}

fn value(regularizer: &SketchedIsotropy, cloud: &Cloud, step: u64) -> f64 {
    regularizer.penalty(cloud, &mut Draw::new(0, "test", step, 0)).unwrap().to_scalar().unwrap()
}

fn check<const N: usize, const D: usize>(points: [[f64; D]; N], expected: f64) {
    let found = value(&SketchedIsotropy::default(), &cloud(points), 0);
    assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
}

#[test]
fn few_dims_are_taken_as_they_are() {
    check([[1.0, 0.0], [-1.0, 0.0]], 2f64.sqrt()); // C = diag(2, 0): off by 1 and -1
    check([[6.0, 5.0], [4.0, 5.0]], 2f64.sqrt()); // whatever the mean
    check([[1.0, 1.0], [-1.0, -1.0]], 10f64.sqrt()); // C = [[2, 2], [2, 2]]: off by 1, 2, 2 and 1
    check([[3.0, 3.0], [3.0, 3.0]], 2f64.sqrt()); // collapsed: C = 0
    let root = 1.5f64.sqrt();
    check([[root, 0.0], [-root, 0.0], [0.0, root], [0.0, -root]], 1e-15); // C = I, but for what is under the root
}

#[test]
fn a_sketch_by_hand() {
    // y = z·(0.5, 0.5) = ±0.5, with variance 0.5: off by 0.5
    let (points, sketch) = (cloud([[1.0, 0.0], [-1.0, 0.0]]), Tensor::new(&[[0.5f64], [0.5]], &Device::Cpu).unwrap());
    let found = sketched(1).penalty_through(points.points(), &sketch).unwrap().to_scalar::<f64>().unwrap();
    assert!((found - 0.5).abs() < 1e-12, "{found}");
    let refused = [
        SketchedIsotropy::default().penalty_through(points.points(), &sketch).err(),
        SketchedIsotropy::default().kernel_through(&sketch).err(),
    ];
    for error in refused {
        assert!(error.unwrap().to_string().starts_with("expected a sketch of 64 dims, found 1"));
    }
}

#[test]
fn a_sketch_is_drawn_afresh_where_there_are_more_dims() {
    let points = cloud([[1.0, 0.0, 2.0], [-1.0, 3.0, 0.5], [0.0, 1.0, 0.0]]);
    assert_eq!(value(&sketched(2), &points, 0), value(&sketched(2), &points, 0));
    assert_ne!(value(&sketched(2), &points, 0), value(&sketched(2), &points, 1));
    assert_eq!(value(&sketched(3), &points, 0), value(&sketched(3), &points, 1));
}

#[test]
fn numbers_of_a_sketch_have_variance_one_over_dims() {
    let sketch = sketched(64).sketch(256, &mut Draw::new(0, "test", 0, 0)).unwrap().unwrap();
    assert_eq!(sketch.dims(), [256, 64]);
    let square = sketch.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap();
    assert!((square * 256.0 - 1.0).abs() < 0.05, "{square}"); // 16,384 numbers: one standard deviation is 0.011
}

#[test]
fn kernels_agree_with_tensor_operations() {
    kernel_agrees(&SketchedIsotropy::default(), 1e-5);
    for sketch_dims in [1, 2, 8, 20] {
        kernel_agrees(&sketched(sketch_dims), 1e-5);
    }
    let wide = Draw::new(0, "test", 0, 0).normals(&[2, 90, 70], DType::F64, &Device::Cpu).unwrap();
    kernel_agrees_on(&SketchedIsotropy::default(), "more dims than a sketch", &Cloud::new(wide).unwrap(), 1e-5);
}

#[test]
fn both_conform() {
    conforms::<SketchedIsotropy>();
    regatta_core::conformance::keeps_its_promises(&sketched(3));
}
