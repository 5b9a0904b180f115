-- Makes `output_activation`, what products of codes go through: here SELU (Klambauer et al. 2017).
create or replace macro output_activation(x) as
(select prediction_scale.unit from prediction_scale)
* 1.0507009873554805
* case when x > 0 then x else 1.6732632423543772 * (exp(x) - 1) end;
